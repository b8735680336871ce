// Attention that runs on any GPU against softmax and sums in f64, over both kinds of cache.
#include <gtest/gtest.h>

#include <string>

#include "decode_attention_case.h"
#include "kernels/attention/attention_gpu.h"

namespace tern {
namespace {

using test::check_cuda;
using test::DecodeAttentionCase;
using test::DeviceMemory;

struct Kind {
  DecodeKv kv;
  int32_t head_dim;
};

class PlainAttention : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (!test::has_device()) GTEST_SKIP() << "no CUDA device";
  }
};

std::vector<uint16_t> run(const DecodeAttentionCase& what, bool sinks) {
  std::vector<int32_t> positions, sequences;
  for (size_t s = 0; s < what.sequences().size(); ++s) {
    for (int32_t i = 0; i < what.sequences()[s].query_len; ++i) {
      positions.push_back(what.sequences()[s].history_len + i);
      sequences.push_back(static_cast<int32_t>(s));
    }
  }
  const DeviceMemory q(what.q()), pool(what.pool()), tables(what.tables()), all_sinks(what.sinks());
  const DeviceMemory d_positions(positions), d_sequences(sequences);
  const DeviceMemory out(std::vector<uint16_t>(what.q().size(), 0x7fc1));
  GpuAttentionArgs args = {};
  args.desc = what.desc();
  args.kv = what.view();
  args.kv.pool = pool.data();
  args.q = q.data();
  args.out = out.data();
  args.positions = reinterpret_cast<const int32_t*>(d_positions.data());
  args.sequences = reinterpret_cast<const int32_t*>(d_sequences.data());
  args.block_tables = reinterpret_cast<const int32_t*>(tables.data());
  args.table_stride = what.table_stride();
  args.sinks = sinks ? reinterpret_cast<const float*>(all_sinks.data()) : nullptr;
  args.tokens = what.tokens();
  check_cuda(static_cast<cudaError_t>(kGpuAttentionSm80.run(args, nullptr)), "run");
  check_cuda(cudaDeviceSynchronize(), "synchronize");
  return out.to_host<uint16_t>();
}

TEST_P(PlainAttention, EqualsTheSoftmax) {
  struct Step {
    int32_t window;
    float soft_cap;
    bool sinks;
  };
  uint32_t seed = 1;
  for (const Step& step : {Step{0, 0, false}, Step{100, 0, false}, Step{0, 5, false}, Step{0, 0, true},
                           Step{1, 0, true}, Step{300, 30, true}}) {
    SCOPED_TRACE("step " + std::to_string(seed));
    const int32_t dim = GetParam().head_dim;
    const float scale = 1 / std::sqrt(static_cast<float>(dim));
    DecodeAttentionCase what({6, 2, dim, 16, GetParam().kv, scale, step.window, step.soft_cap}, {3, 129, 40, 1000}, 3,
                             seed++);
    const DecodeAttentionCase complete = what;
    what.forget_what_no_token_sees();
    const std::vector<uint16_t> out = run(what, step.sinks);
    std::vector<double> expected, magnitude;
    for (int64_t token = 0; token < what.tokens(); ++token) {
      for (int32_t head = 0; head < 6; ++head) {
        complete.expect(token, head, step.sinks, expected, magnitude);
        for (size_t d = 0; d < expected.size(); ++d) {
          const double got = f32_from_bf16(out[static_cast<size_t>(token * what.columns() + head * dim) + d]);
          ASSERT_LE(std::fabs(got - expected[d]), std::fabs(expected[d]) * 0x1p-8 + magnitude[d] * 1e-5 + 1e-6)
              << "token " << token << " head " << head << " dimension " << d;
        }
      }
    }
  }
}

std::string name_of_kind(const testing::TestParamInfo<Kind>& info) {
  return std::string(info.param.kv == DecodeKv::kFp8 ? "Fp8x" : "Bf16x") + std::to_string(info.param.head_dim);
}
INSTANTIATE_TEST_SUITE_P(Kinds, PlainAttention,
                         testing::Values(Kind{DecodeKv::kBf16, 64}, Kind{DecodeKv::kBf16, 80},
                                         Kind{DecodeKv::kBf16, 96}, Kind{DecodeKv::kBf16, 128},
                                         Kind{DecodeKv::kBf16, 256}, Kind{DecodeKv::kFp8, 64}, Kind{DecodeKv::kFp8, 80},
                                         Kind{DecodeKv::kFp8, 96}, Kind{DecodeKv::kFp8, 128},
                                         Kind{DecodeKv::kFp8, 256}),
                         name_of_kind);

}  // namespace
}  // namespace tern
