// The AMX kernels of the integer layouts give the bits of the AVX-512 kernels, whose packed matrices they read: for
// every number of tokens, whoever takes them, in every division of panels.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "emulated_amx.h"
#include "kernels/linear/linear.h"
#include "quant/format.h"
#include "support/aligned_bytes.h"
#include "support/kernel_cases.h"

namespace tern {
namespace {

using test::ActivationCase;
using test::AlignedBytes;
using test::WeightCase;

struct Pair {
  const LinearImpl* amx;
  const LinearImpl* avx512;
  Format format;
  bool emulated;
};

void PrintTo(const Pair& p, std::ostream* out) { *out << p.amx->name << " " << name_of(p.format); }

std::vector<Pair> integer_pairs() {
  std::vector<Pair> pairs;
  const auto add = [&](const LinearImpl* amx, bool emulated) {
    if ((amx->needs & kIsaAmxInt8) == 0) return;
    for (const LinearImpl* other : linear_impls()) {
      if (std::string_view(other->layout) != amx->layout || !std::string_view(other->name).starts_with("avx512"))
        continue;
      for (const FormatInfo& info : formats()) {
        const LinearDesc desc{16, 1536, info.format};
        if (amx->supports(desc) && other->supports(desc)) pairs.push_back({amx, other, info.format, emulated});
      }
    }
  };
  for (const LinearImpl* impl : linear_impls()) {
    if ((impl->needs & ~detect_isa()) == 0) add(impl, false);
  }
  for (const LinearImpl* impl : test::emulated_amx_impls()) add(impl, true);
  return pairs;
}

std::string test_name(const testing::TestParamInfo<Pair>& info) {
  return std::string(info.param.emulated ? "emulated_" : "") + info.param.amx->name + "_" +
         std::string(name_of(info.param.format));
}

class LinearAmx : public testing::TestWithParam<Pair> {
 protected:
  // out[tokens, rows] by `impl`, the panels in `pieces` ranges; everything but `run` is the AVX-512 row's.
  static std::vector<float> run(const LinearImpl& impl, LinearJob job, int pieces) {
    std::vector<float> out(static_cast<size_t>(job.tokens * job.desc.rows));
    job.out = out.data();
    job.out_stride = job.desc.rows;
    const int64_t panels = (job.desc.rows + 15) / 16;
    for (int i = 0; i < pieces; ++i) {
      const int64_t begin = panels * i / pieces, end = panels * (i + 1) / pieces;
      if (begin < end) impl.run(job, begin, end);
    }
    return out;
  }
};

TEST_P(LinearAmx, BitsOfTheAvx512Kernel) {
  const auto& [amx, avx512, format, emulated] = GetParam();
  constexpr int64_t kTokens = 550;  // more than a block of the walk
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{300, 256}, {33, 1536}, {16, 96}, {5, 2304}}) {
    const LinearDesc desc{rows, cols, format};
    if (cols % format_info(format).block_elements != 0) continue;
    SCOPED_TRACE(testing::Message() << rows << "x" << cols);
    const std::vector<std::byte> bytes = test::random_weights(format, rows, cols, WeightCase::kNormal, 3);
    const std::vector<float> bias = test::random_activations(1, rows, ActivationCase::kNormal, 4);
    const std::vector<float> x = test::random_activations(kTokens, cols, ActivationCase::kOutliers, 5);
    const auto stride = static_cast<int64_t>(avx512->prepared_bytes(cols));
    ASSERT_EQ(static_cast<int64_t>(amx->prepared_bytes(cols)), stride);
    AlignedBytes prepared(static_cast<uint64_t>(stride * prepared_rows(kTokens))), packed(avx512->packed_bytes(desc));
    AlignedBytes among(static_cast<uint64_t>(stride * prepared_rows(kTokens)));
    for (int64_t t = 0; t < kTokens; ++t) avx512->prepare(x.data() + t * cols, cols, prepared.data() + t * stride);
    avx512->pack(desc, bytes.data(), packed.data(), 0, (rows + 15) / 16);
    // Few, as many as half a tile, and every number in the last tile of those that all kernels leave to tiles.
    std::vector<int64_t> counts = {1, 8, 9, 10, 11, 12, 16, 20, 24, 25, 32, 100, kTokens};
    for (int64_t tokens = 33; tokens <= 48; ++tokens) counts.push_back(tokens);
    for (int64_t tokens : counts) {
      if (tokens == kTokens && cols != 256) continue;
      LinearJob job{.desc = desc,
                    .weights = packed.data(),
                    .prepared = prepared.data(),
                    .prepared_stride = stride,
                    .tokens = tokens,
                    .bias = tokens % 2 == 0 ? bias.data() : nullptr};
      const std::vector<float> expected = run(*avx512, job, 1);
      for (int64_t t = 0; t < tokens; ++t) prepare_token(*amx, x.data() + t * cols, cols, among.data(), t, tokens);
      job.prepared = among.data();
      for (int pieces : {1, 3}) {
        const std::vector<float> out = run(*amx, job, pieces);
        ASSERT_EQ(std::memcmp(out.data(), expected.data(), out.size() * sizeof(float)), 0) << tokens << " tokens";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, LinearAmx, testing::ValuesIn(integer_pairs()), test_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(LinearAmx);

}  // namespace
}  // namespace tern
