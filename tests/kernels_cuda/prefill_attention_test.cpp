// Prefill attention on the GPU against softmax and sums in f64 over the same keys and values.
#include "kernels/attention/prefill_attention.h"

#include <gtest/gtest.h>

#include <string>

#include "prefill_attention_case.h"

namespace tern {
namespace {

using test::check_cuda;
using test::DeviceMemory;
using test::PrefillAttentionCase;
using test::Prompt;

constexpr uint16_t kPoison = 0x7fc1;  // a bf16 NaN that no kernel makes
constexpr int64_t kBehind = 8;        // columns of out behind the last, which stay as they were

const PrefillAttentionImpl* impl_of(const PrefillAttentionDesc& desc) {
  for (int i = 0; i < kPrefillAttentionSm90.count; ++i) {
    if (kPrefillAttentionSm90.rows[i].supports(desc)) return &kPrefillAttentionSm90.rows[i];
  }
  return nullptr;
}

int64_t out_stride(const PrefillAttentionCase& what) { return what.columns() + kBehind; }

// Enqueues a case on one stream; what it reads lives as long as this.
class OnDevice {
 public:
  explicit OnDevice(const PrefillAttentionCase& what)
      : what_(what),
        impl_(impl_of(what.desc())),
        q_(what.q()),
        pool_(what.pool()),
        tables_(what.tables()),
        sinks_(what.sinks()) {}
  void use_sinks() { with_sinks_ = true; }

  // [tokens, columns + kBehind]. `shape`: sequences as in the case, or pieces of them; `tables` of each.
  std::vector<uint16_t> run(const std::vector<SequenceSlice>& shape, const DeviceMemory& tables,
                            int32_t thread_blocks) {
    const auto count = static_cast<int32_t>(shape.size());
    const BatchShape batch = {shape.data(), count, static_cast<int32_t>(what_.tokens()), 0};
    const PrefillAttentionPlan plan = plan_prefill_attention(what_.desc(), batch, impl_->strips, thread_blocks);
    const DeviceMemory units(plan.units);
    const DeviceMemory out(std::vector<uint16_t>(static_cast<size_t>(what_.tokens() * out_stride(what_)), kPoison));
    PrefillAttentionArgs args = {what_.desc(),
                                 what_.view(),
                                 q_.data(),
                                 what_.columns(),
                                 out.data(),
                                 out_stride(what_),
                                 with_sinks_ ? reinterpret_cast<const float*>(sinks_.data()) : nullptr,
                                 what_.tokens(),
                                 reinterpret_cast<const int32_t*>(tables.data()),
                                 what_.table_stride(),
                                 reinterpret_cast<const PrefillUnit*>(units.data()),
                                 plan.thread_blocks};
    args.kv.pool = pool_.data();
    check_cuda(static_cast<cudaError_t>(impl_->run(args, nullptr)), "run");
    check_cuda(cudaDeviceSynchronize(), "synchronize");
    return out.to_host<uint16_t>();
  }
  std::vector<uint16_t> run(int32_t thread_blocks) { return run(what_.sequences(), tables_, thread_blocks); }
  std::vector<uint16_t> run() { return run(impl_->thread_blocks()); }

 private:
  const PrefillAttentionCase& what_;
  const PrefillAttentionImpl* impl_;
  DeviceMemory q_, pool_, tables_, sinks_;
  bool with_sinks_ = false;
};

struct Kind {
  DecodeKv kv;
  int32_t head_dim;
};

class PrefillAttention : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (!test::has_device()) GTEST_SKIP() << "no CUDA device";
  }
  PrefillAttentionDesc desc(int32_t heads, int32_t kv_heads, int32_t block_tokens, int32_t window = 0) const {
    const int32_t dim = GetParam().head_dim;
    return {heads, kv_heads, dim, block_tokens, window, 1 / std::sqrt(static_cast<float>(dim)), 0, GetParam().kv};
  }
};

// Weights are rounded to bf16 (2^-8 at most), so is the result. Of large cases a prime share of rows is looked at.
void expect_close(const PrefillAttentionCase& what, const std::vector<uint16_t>& out, bool sinks = false) {
  const double work = prefill_attention_pairs(what.desc(), what.batch()) * what.desc().heads;
  const int64_t step = work < 4e6 ? 1 : work < 4e7 ? 7 : 61;
  std::vector<double> expected, magnitude;
  int64_t number = 0;
  for (size_t s = 0; s < what.sequences().size(); ++s) {
    const SequenceSlice& slice = what.sequences()[s];
    for (int64_t token = 0; token < slice.query_len; ++token) {
      const int64_t row = (slice.query_begin + token) * out_stride(what);
      for (int64_t i = 0; i < what.columns(); ++i) ASSERT_NE(out[static_cast<size_t>(row + i)], kPoison);
      for (int64_t i = what.columns(); i < out_stride(what); ++i) ASSERT_EQ(out[static_cast<size_t>(row + i)], kPoison);
      for (int32_t head = 0; head < what.desc().heads; ++head) {
        if (number++ % step != 0 && token + 1 < slice.query_len) continue;
        what.expect(s, token, head, sinks, expected, magnitude);
        for (size_t d = 0; d < expected.size(); ++d) {
          const double got = double{f32_from_bf16(out[static_cast<size_t>(row + head * what.desc().head_dim) + d])};
          ASSERT_LE(std::fabs(got - expected[d]), (std::fabs(expected[d]) + magnitude[d]) * 0x1p-8 + 1e-6)
              << "sequence " << s << " token " << token << " head " << head << " dimension " << d << ": " << got
              << " instead of " << expected[d];
        }
      }
    }
  }
}

struct Step {
  int32_t heads, kv_heads, block_tokens, window;
  std::vector<Prompt> prompts;
};

std::vector<Step> steps() {
  return {{4, 1, 64, 0, {{64, 0}}},
          {4, 2, 64, 0, {{1, 0}, {2, 0}, {63, 0}, {65, 0}, {127, 0}, {128, 0}, {129, 0}, {191, 0}, {192, 0}, {193, 0}}},
          {8, 2, 64, 0, {{1, 1}, {1, 63}, {1, 64}, {1, 127}, {1, 128}, {1, 1000}, {5, 700}, {300, 0}, {70, 130}}},
          {32, 8, 64, 0, {{512, 0}, {512, 512}, {100, 1948}, {7, 0}, {1, 2047}}},
          {14, 2, 64, 0, {{130, 0}, {200, 333}, {3, 64}}},
          {3, 3, 128, 0, {{257, 0}, {64, 100}, {65, 191}, {1, 129}}},
          {9, 3, 64, 0, {{100, 29}, {385, 0}}},
          {16, 1, 256, 0, {{20, 900}, {150, 0}}},
          {4, 1, 64, 1, {{200, 0}, {10, 137}}},
          {4, 1, 64, 64, {{300, 0}, {65, 500}, {1, 640}, {1, 63}}},
          {8, 2, 64, 100, {{300, 0}, {129, 511}, {1, 1000}, {64, 64}}},
          {6, 2, 128, 1000, {{1500, 0}, {77, 3000}}},
          {4, 1, 64, 0, {{4096, 0}}},
          {4, 1, 64, 4000, {{512, 16000}}}};
}

TEST_P(PrefillAttention, EqualsTheSoftmax) {
  uint32_t seed = 1;
  for (const Step& step : steps()) {
    SCOPED_TRACE("step " + std::to_string(seed));
    PrefillAttentionCase what(desc(step.heads, step.kv_heads, step.block_tokens, step.window), step.prompts, seed++);
    const PrefillAttentionCase complete = what;
    if (step.window > 0) what.forget_what_no_token_sees();
    expect_close(complete, OnDevice(what).run());
    if (HasFatalFailure()) return;
  }
}

TEST_P(PrefillAttention, CapsAndSinks) {
  uint32_t seed = 50;
  for (const int32_t window : {0, 100}) {
    for (const float cap : {0.0f, 3.0f, 50.0f}) {
      PrefillAttentionDesc capped = desc(8, 2, 64, window);
      capped.soft_cap = cap;
      const PrefillAttentionCase what(capped, {{300, 0}, {129, 511}, {1, 1000}, {64, 64}}, seed++);
      OnDevice device(what);
      device.use_sinks();
      ASSERT_NO_FATAL_FAILURE(expect_close(what, device.run(), true)) << "window " << window << " cap " << cap;
    }
  }
}

// However many thread blocks share the work, and with one that does it all.
TEST_P(PrefillAttention, HasTheSameBitsForAnyDivision) {
  const PrefillAttentionCase what(desc(14, 2, 64), {{130, 0}, {200, 333}, {3, 64}, {1, 500}}, 7);
  OnDevice device(what);
  const std::vector<uint16_t> whole = device.run();
  for (const int32_t blocks : {1, 2, 7, 131}) EXPECT_EQ(device.run(blocks), whole) << blocks;
  for (int i = 0; i < 20; ++i) ASSERT_EQ(device.run(), whole) << "run " << i;
}

// A prompt cut into chunks, as sequences of one launch that share their keys.
TEST_P(PrefillAttention, HasTheSameBitsForAnyChunks) {
  for (const int32_t window : {0, 20, 100, 150, 200}) {
    const PrefillAttentionCase what(desc(8, 2, 64, window), {{700, 45}}, 9);
    OnDevice device(what);
    const std::vector<uint16_t> whole = device.run();
    for (const std::vector<int32_t>& cuts :
         {std::vector<int32_t>{0, 1, 65, 300, 700}, {0, 64, 128, 699, 700}, {0, 350, 700}}) {
      std::vector<SequenceSlice> pieces;
      std::vector<int32_t> tables;
      for (size_t i = 0; i + 1 < cuts.size(); ++i) {
        pieces.push_back({cuts[i], cuts[i + 1] - cuts[i], 45 + cuts[i], nullptr});
        tables.insert(tables.end(), what.tables().begin(), what.tables().end());
      }
      EXPECT_EQ(device.run(pieces, DeviceMemory(tables), 132), whole) << "window " << window << ", " << cuts[1];
    }
  }
}

TEST_P(PrefillAttention, RefusesWhatItCannotDo) {
  EXPECT_EQ(impl_of(desc(8, 3, 64)), nullptr);
  EXPECT_EQ(impl_of(desc(8, 2, 32)), nullptr);
  PrefillAttentionDesc odd = desc(8, 2, 64);
  odd.head_dim = 80;
  EXPECT_EQ(impl_of(odd), nullptr);
  PrefillAttentionArgs args = {};
  args.desc = desc(8, 2, 64);
  EXPECT_EQ(impl_of(args.desc)->run(args, nullptr), cudaErrorInvalidValue);
}

INSTANTIATE_TEST_SUITE_P(Kinds, PrefillAttention,
                         testing::Values(Kind{DecodeKv::kBf16, 128}, Kind{DecodeKv::kBf16, 64},
                                         Kind{DecodeKv::kFp8, 128}, Kind{DecodeKv::kFp8, 64}),
                         [](const auto& kind) {
                           return std::string(kind.param.kv == DecodeKv::kFp8 ? "Fp8x" : "Bf16x") +
                                  std::to_string(kind.param.head_dim);
                         });

}  // namespace
}  // namespace tern
