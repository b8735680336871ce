// Decode attention on the GPU against softmax and sums in f64 over the same keys and values.
#include "kernels/attention/decode_attention.h"

#include <gtest/gtest.h>

#include <string>

#include "decode_attention_case.h"

namespace tern {
namespace {

using test::check_cuda;
using test::DecodeAttentionCase;
using test::DeviceMemory;

constexpr uint16_t kPoison = 0x7fc1;  // a bf16 NaN that no kernel makes
constexpr int64_t kBehind = 6;        // columns of out behind the last, which stay as they were
constexpr int32_t kSlots = 4096;

const DecodeAttentionImpl* impl_of(const DecodeAttentionDesc& desc) {
  for (int i = 0; i < kDecodeAttentionSm90.count; ++i) {
    if (kDecodeAttentionSm90.rows[i].supports(desc)) return &kDecodeAttentionSm90.rows[i];
  }
  return nullptr;
}

// A case on the device. The workspace is zeroed once and used by every run.
class OnDevice {
 public:
  explicit OnDevice(const DecodeAttentionCase& what)
      : what_(what),
        q_(what.q()),
        pool_(what.pool()),
        tables_(what.tables()),
        sinks_(what.sinks()),
        workspace_(impl_of(what.desc())->workspace_bytes(what.desc(), kDecodeMaxRows, kSlots)),
        impl_(impl_of(what.desc())) {
    check_cuda(cudaMemset(workspace_.data(), 0, workspace_.bytes()), "memset");
  }

  // Sequences [first, first + count) as a batch of their own; out is [tokens, columns + kBehind].
  std::vector<uint16_t> run(size_t first, size_t count, int32_t rows, int32_t thread_blocks, bool overlap) {
    std::vector<SequenceSlice> sequences(what_.sequences().begin() + static_cast<int64_t>(first),
                                         what_.sequences().begin() + static_cast<int64_t>(first + count));
    const int32_t query_len = sequences[0].query_len;
    const BatchShape batch = {sequences.data(), static_cast<int32_t>(count), static_cast<int32_t>(count) * query_len,
                              0};
    const DecodeAttentionPlan plan = plan_decode_attention(what_.desc(), batch, rows, thread_blocks);
    const DeviceMemory units(plan.units);
    const int64_t stride = what_.columns() + kBehind;
    const DeviceMemory out(std::vector<uint16_t>(static_cast<size_t>(what_.tokens() * stride), kPoison));
    DecodeAttentionArgs args = this->args(plan, units, overlap);
    args.block_tables += static_cast<int64_t>(first) * what_.table_stride();
    args.out = out.data();
    args.out_stride = stride;
    check_cuda(static_cast<cudaError_t>(impl_->run(args, nullptr)), "run");
    check_cuda(cudaDeviceSynchronize(), "synchronize");
    return out.to_host<uint16_t>();
  }

  DecodeAttentionArgs args(const DecodeAttentionPlan& plan, const DeviceMemory& units, bool overlap) const {
    DecodeAttentionArgs args = {};
    args.desc = what_.desc();
    args.kv = what_.view();
    args.kv.pool = pool_.data();
    args.sinks = with_sinks_ ? reinterpret_cast<const float*>(sinks_.data()) : nullptr;
    args.q = q_.data();
    args.q_stride = what_.columns();
    args.block_tables = reinterpret_cast<const int32_t*>(tables_.data());
    args.table_stride = what_.table_stride();
    args.units = reinterpret_cast<const DecodeUnit*>(units.data());
    args.thread_blocks = plan.thread_blocks;
    args.rows = plan.rows;
    args.workspace = workspace_.data();
    args.slots = kSlots;
    args.overlap = overlap;
    EXPECT_LE(plan.slots, kSlots);
    return args;
  }
  void use_sinks() { with_sinks_ = true; }
  const DecodeAttentionImpl* impl() const { return impl_; }
  const DeviceMemory& q() const { return q_; }

 private:
  const DecodeAttentionCase& what_;
  DeviceMemory q_, pool_, tables_, sinks_, workspace_;
  const DecodeAttentionImpl* impl_;
  bool with_sinks_ = false;
};

struct Kind {
  DecodeKv kv;
  int32_t head_dim;
};

class DecodeAttention : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (!test::has_device()) GTEST_SKIP() << "no CUDA device";
  }
  DecodeAttentionDesc desc(int32_t heads, int32_t kv_heads, int32_t block_tokens) const {
    const float scale = 1 / std::sqrt(static_cast<float>(GetParam().head_dim));
    return {heads, kv_heads, GetParam().head_dim, block_tokens, GetParam().kv, scale};
  }
};

// Weights are rounded to bf16 (2^-8 at most), so is the result.
void expect_close(const DecodeAttentionCase& what, const std::vector<uint16_t>& out, bool sinks = false) {
  const int64_t stride = what.columns() + kBehind;
  const int64_t work = static_cast<int64_t>(what.pool().size()) * what.desc().heads / what.desc().kv_heads;
  const int32_t head_step = work > 100 << 20 ? 5 : 1;  // of long contexts some heads
  std::vector<double> expected, magnitude;
  for (int64_t token = 0; token < what.tokens(); ++token) {
    for (int32_t head = 0; head < what.desc().heads; head += head_step) {
      what.expect(token, head, sinks, expected, magnitude);
      for (size_t d = 0; d < expected.size(); ++d) {
        const double got = f32_from_bf16(out[static_cast<size_t>(token * stride + head * what.desc().head_dim) + d]);
        ASSERT_LE(std::fabs(got - expected[d]), (std::fabs(expected[d]) + magnitude[d]) * 0x1p-8 + 1e-6)
            << "token " << token << " head " << head << " dimension " << d << ": " << got << " instead of "
            << expected[d];
      }
    }
    for (int64_t i = what.columns(); i < stride; ++i) ASSERT_EQ(out[static_cast<size_t>(token * stride + i)], kPoison);
  }
}

TEST_P(DecodeAttention, EqualsTheSoftmaxInAnyCompany) {
  struct Step {
    int32_t heads, kv_heads, block_tokens, query_len;
    std::vector<int32_t> keys;
  };
  const Step steps[] = {{32, 8, 64, 1, {1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 1000, 4096}},
                        {8, 8, 16, 1, {1, 33, 128, 300, 2049}},
                        {14, 2, 16, 1, {5000, 7}},
                        {16, 2, 128, 2, {2, 3, 129, 640}},
                        {8, 2, 64, 4, {4, 130, 131, 700, 4097}},
                        {6, 2, 256, 5, {5, 255, 257, 1025}},
                        {8, 1, 16, 8, {8, 9, 136, 1023}},
                        {4, 1, 64, 1, {65536, 40000}}};
  uint32_t seed = 1;
  for (const Step& step : steps) {
    const DecodeAttentionDesc desc = this->desc(step.heads, step.kv_heads, step.block_tokens);
    const DecodeAttentionCase what(desc, step.keys, step.query_len, seed++);
    ASSERT_NE(impl_of(desc), nullptr);
    OnDevice device(what);
    const int32_t rows = decode_attention_rows(desc, step.query_len);
    const std::vector<uint16_t> all = device.run(0, step.keys.size(), rows, 132, false);
    ASSERT_NO_FATAL_FAILURE(expect_close(what, all)) << step.heads << "/" << step.kv_heads << " x " << step.query_len;
    // Other divisions of the work, other rows beside each other, alone, and once more: the same bits.
    for (const int32_t thread_blocks : {1, 7, 131}) {
      EXPECT_TRUE(device.run(0, step.keys.size(), rows, thread_blocks, true) == all) << thread_blocks << " blocks";
    }
    for (const int32_t other : {8, 16, 32}) {
      EXPECT_TRUE(device.run(0, step.keys.size(), other, 132, false) == all) << other << " rows a unit";
    }
    const auto row = static_cast<size_t>((what.columns() + kBehind) * step.query_len);
    for (size_t i = 0; i < step.keys.size(); ++i) {
      const std::vector<uint16_t> alone = device.run(i, 1, rows, 132, i % 2 == 0);
      EXPECT_TRUE(std::equal(alone.begin() + static_cast<int64_t>(i * row),
                             alone.begin() + static_cast<int64_t>((i + 1) * row),
                             all.begin() + static_cast<int64_t>(i * row)))
          << "sequence " << i << " alone";
    }
  }
}

// Windows, caps and sinks, with nothing left of what lies before all windows.
TEST_P(DecodeAttention, WindowsCapsAndSinksInAnyCompany) {
  struct Step {
    int32_t heads, kv_heads, block_tokens, query_len, window;
    float soft_cap;
    bool sinks;
    std::vector<int32_t> keys;
  };
  const Step steps[] = {{32, 8, 64, 1, 0, 5, false, {1, 127, 700}},
                        {16, 4, 64, 1, 0, 0, true, {1, 129, 3000}},
                        {16, 8, 64, 1, 1, 0, false, {1, 65, 128, 129, 1000}},
                        {8, 2, 16, 1, 100, 0, false, {50, 100, 101, 300, 5000, 20000}},
                        {8, 2, 64, 4, 128, 3, true, {4, 127, 128, 129, 131, 1024, 9000}},
                        {6, 2, 256, 5, 1000, 0, false, {999, 1000, 1003, 1128, 5000}},
                        {8, 1, 16, 8, 33, 50, true, {8, 136, 1023}},
                        {4, 1, 32, 1, 4096, 0, true, {40000, 4097, 12345}}};
  uint32_t seed = 100;
  for (const Step& step : steps) {
    SCOPED_TRACE("step " + std::to_string(seed));
    DecodeAttentionDesc desc = this->desc(step.heads, step.kv_heads, step.block_tokens);
    desc.window = step.window;
    desc.soft_cap = step.soft_cap;
    DecodeAttentionCase what(desc, step.keys, step.query_len, seed++);
    const DecodeAttentionCase complete = what;
    what.forget_what_no_token_sees();
    OnDevice device(what);
    if (step.sinks) device.use_sinks();
    const int32_t rows = decode_attention_rows(desc, step.query_len);
    const std::vector<uint16_t> all = device.run(0, step.keys.size(), rows, 132, false);
    ASSERT_NO_FATAL_FAILURE(expect_close(complete, all, step.sinks));
    for (const int32_t thread_blocks : {1, 7, 131}) {
      EXPECT_TRUE(device.run(0, step.keys.size(), rows, thread_blocks, true) == all) << thread_blocks << " blocks";
    }
    for (const int32_t other : {8, 16, 32}) {
      EXPECT_TRUE(device.run(0, step.keys.size(), other, 132, false) == all) << other << " rows a unit";
    }
  }
}

// Four tokens verified together have the bits of four decoded one by one.
TEST_P(DecodeAttention, VerifyingIsDecoding) {
  const DecodeAttentionDesc desc = this->desc(8, 2, 16);
  const DecodeAttentionCase what(desc, {258}, 4, 77);
  OnDevice device(what);
  const std::vector<uint16_t> together = device.run(0, 1, 16, 132, false);
  const int64_t stride = what.columns() + kBehind;
  for (int32_t token = 0; token < 4; ++token) {
    const SequenceSlice one = {token, 1, 254 + token, nullptr};
    const DecodeAttentionPlan plan = plan_decode_attention(desc, {&one, 1, 1, 0}, 8, 132);
    const DeviceMemory units(plan.units);
    const DeviceMemory out(std::vector<uint16_t>(static_cast<size_t>(4 * stride), kPoison));
    DecodeAttentionArgs args = device.args(plan, units, false);
    args.out = out.data();
    args.out_stride = stride;
    check_cuda(static_cast<cudaError_t>(device.impl()->run(args, nullptr)), "run");
    check_cuda(cudaDeviceSynchronize(), "synchronize");
    const std::vector<uint16_t> alone = out.to_host<uint16_t>();
    EXPECT_TRUE(std::equal(alone.begin() + token * stride, alone.begin() + token * stride + what.columns(),
                           together.begin() + token * stride))
        << token;
  }
}

// Launches that overlap and depend on each other, in a graph that is replayed, against the same one after the other.
TEST_P(DecodeAttention, OverlappedLaunchesWaitForTheirInput) {
  constexpr size_t kLength = 10;
  const DecodeAttentionDesc desc = this->desc(32, 8, 64);
  const DecodeAttentionCase what(desc, {1024, 70, 3000}, 1, 5);
  OnDevice device(what);
  const BatchShape batch = {what.sequences().data(), 3, 3, 0};
  const DecodeAttentionPlan plan = plan_decode_attention(desc, batch, 8, 132);
  ASSERT_GT(plan.slots, 0);
  const DeviceMemory units(plan.units);
  std::vector<DeviceMemory> rows;
  for (size_t i = 0; i < kLength; ++i) rows.emplace_back(what.q().size() * 2);
  std::vector<std::vector<uint16_t>> results;
  for (const bool overlap : {false, true}) {
    for (const DeviceMemory& row : rows) check_cuda(cudaMemset(row.data(), 0xff, row.bytes()), "memset");
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    DecodeAttentionArgs args = device.args(plan, units, overlap);
    check_cuda(cudaStreamCreate(&stream), "stream");
    check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
    for (size_t i = 0; i < kLength; ++i) {
      if (i > 0) args.q = rows[i - 1].data();
      args.out = rows[i].data();
      args.out_stride = what.columns();
      check_cuda(static_cast<cudaError_t>(device.impl()->run(args, stream)), "run");
    }
    check_cuda(cudaStreamEndCapture(stream, &graph), "capture");
    check_cuda(cudaGraphInstantiate(&executable, graph, 0), "instantiate");
    for (int repeat = 0; repeat < 30; ++repeat) check_cuda(cudaGraphLaunch(executable, stream), "launch");
    check_cuda(cudaStreamSynchronize(stream), "synchronize");
    results.push_back(rows[kLength - 1].to_host<uint16_t>());
    cudaGraphExecDestroy(executable);
    cudaGraphDestroy(graph);
    cudaStreamDestroy(stream);
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_TRUE(std::isfinite(f32_from_bf16(results[0][5])));
}

TEST_P(DecodeAttention, RefusesWhatItCannotDo) {
  EXPECT_EQ(impl_of(desc(8, 3, 64)), nullptr);
  EXPECT_EQ(impl_of(desc(8, 8, 24)), nullptr);
  DecodeAttentionDesc other = desc(8, 8, 64);
  other.head_dim = 96;
  EXPECT_EQ(impl_of(other), nullptr);
  DecodeAttentionArgs args = {};
  args.desc = desc(8, 8, 64);
  args.thread_blocks = 132;
  args.rows = 8;
  EXPECT_NE(impl_of(args.desc)->run(args, nullptr), 0) << "an empty pool";
}

std::string name_of_kind(const testing::TestParamInfo<Kind>& info) {
  return std::string(info.param.kv == DecodeKv::kFp8 ? "Fp8x" : "Bf16x") + std::to_string(info.param.head_dim);
}
INSTANTIATE_TEST_SUITE_P(Kinds, DecodeAttention,
                         testing::Values(Kind{DecodeKv::kBf16, 128}, Kind{DecodeKv::kBf16, 64},
                                         Kind{DecodeKv::kFp8, 128}, Kind{DecodeKv::kFp8, 64}),
                         name_of_kind);

}  // namespace
}  // namespace tern
