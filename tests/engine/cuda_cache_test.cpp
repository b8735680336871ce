// Caches of the CUDA runner: bf16 and FP8, one cache group and several, with and without a window, against the CPU
// runner with an f32 cache. Synthetic models with heads of 64 and 128, which the Hopper kernels take, and of 96, which
// the plain one does. Skipped where there is no GPU.
#include <gtest/gtest.h>

#include <cstdio>
#include <random>
#include <sstream>

#include "core/error.h"
#include "engine/runner/cuda_runner.h"
#include "engine/scoring.h"
#include "engine/synthetic_config.h"
#include "model/archs/arch.h"
#include "model/open_model.h"
#include "model/passes/passes.h"
#include "quant/kv_fp8.h"

namespace tern {
namespace {

constexpr int64_t kLength = 300, kVocabulary = 500;

using Logits = std::vector<float>;  // [kLength, kVocabulary]

struct Model {
  int head_dim = 128;
  int window = 0;
};

class CudaCache : public testing::Test {
 protected:
  void SetUp() override {
    std::string reason;
    if (count_gpus(&reason) == 0) GTEST_SKIP() << reason;
  }

  void open(const Model& model) {
    std::ostringstream text;
    text << R"({"architectures":[")" << (model.window > 0 ? "MistralForCausalLM" : "LlamaForCausalLM")
         << R"("],"hidden_size":)" << 4 * model.head_dim
         << R"(,"intermediate_size":768,"num_hidden_layers":4,"num_attention_heads":4,)"
         << R"("num_key_value_heads":2,"vocab_size":500,"max_position_embeddings":512,)"
         << R"("rms_norm_eps":1e-5,"tie_word_embeddings":false)";
    if (model.window > 0) text << R"(,"sliding_window":)" << model.window;
    file_.write(text.str() + "}");
    config_ = model_config(*checkpoint());
  }
  // For each runner its own: the CPU's gives back what it has packed.
  std::shared_ptr<const Checkpoint> checkpoint() const { return open_model(file_.model("bf16"), Weights::kReady, 2); }

  RunnerOptions options(Format kv, int64_t step) const {
    RunnerOptions options;
    options.threads = 2;
    options.max_batched_tokens = step;
    options.max_rows = step;
    options.max_model_len = 512;
    options.kv_tokens = 4096;
    options.block_tokens = 64;
    options.kv_format = kv;
    return options;
  }

  static Logits logits_of(Runner& runner, int64_t step) {
    std::mt19937 random(3);
    std::vector<int32_t> ids(kLength);
    for (int32_t& id : ids) id = static_cast<int32_t>(random() % kVocabulary);
    Logits logits;
    score(runner, {step, step, 64}, ids, 0,
          [&](int64_t, std::span<const float> row) { logits.insert(logits.end(), row.begin(), row.end()); });
    return logits;
  }

  Logits on_cpu() const {
    const auto checkpoint = this->checkpoint();
    const Program lowered = lower(arch_of(*checkpoint).program(config_));
    RunnerOptions plain = options(Format::kF32, 64);
    plain.kernels = KernelSelection::parse("avx2");  // what multiplies in f32
    return logits_of(*make_cpu_runner(checkpoint, config_, lowered, plain), 64);
  }

  // Steps of `step` tokens; layers in `groups` cache groups in turn.
  Logits on_gpu(Format kv, int64_t step, int groups = 1) const {
    const auto checkpoint = this->checkpoint();
    Program lowered = lower(arch_of(*checkpoint).program(config_), {.fuse_into_linear = false});
    if (groups > 1) split(lowered, groups);
    return logits_of(*make_cuda_runner(checkpoint, config_, lowered, options(kv, step), {}), step);
  }

  static void split(Program& program, int groups) {
    const CacheGroup all = program.caches[0];
    program.caches.assign(static_cast<size_t>(groups), all);
    for (CacheGroup& group : program.caches) group.layers.clear();
    for (const int32_t layer : all.layers) program.caches[static_cast<size_t>(layer % groups)].layers.push_back(layer);
    for (Op& op : program.ops) {
      if (op.cache_group >= 0) op.cache_group = op.layer % groups;
    }
  }

  test::ConfigFile file_{"cache"};
  ModelConfig config_;
};

// Weights and activations have 8 bits; most of these models' logits comes from the embedding and not from attention,
// which leaves 6e-6 to 7e-6 with a bf16 cache and 3e-5 to 4e-5 with FP8. Eight times that is an error.
constexpr double kBf16 = 5e-5;
// A code is off by up to 2^-4 of its number, 2.6 % in the mean square: 7e-4 of a key's square and as much of a value's.
// If all of a layer's output were attention, that were 1.4e-3 for each of 4 layers; a twentieth of it is.
constexpr double kFp8 = 3e-4;

TEST_F(CudaCache, LogitsAreThoseOfTheCpu) {
  for (const Model& model : {Model{128}, Model{64}, Model{96}, Model{128, 100}, Model{64, 70}}) {
    SCOPED_TRACE("heads of " + std::to_string(model.head_dim) + ", window " + std::to_string(model.window));
    open(model);
    const Logits want = on_cpu();
    for (const int64_t step : {int64_t{1}, int64_t{5}, int64_t{256}}) {
      const double bf16 = test::squared_error(on_gpu(Format::kBF16, step), want),
                   fp8 = test::squared_error(on_gpu(kKvFp8, step), want);
      EXPECT_LE(bf16, kBf16) << "steps of " << step;
      EXPECT_LE(fp8, kFp8) << "steps of " << step;
      EXPECT_GT(fp8, bf16) << "FP8 was not used";
      std::printf("[  error   ] heads %d window %d steps %d: bf16 %.2e fp8 %.2e\n", model.head_dim, model.window,
                  static_cast<int>(step), bf16, fp8);
    }
  }
}

TEST_F(CudaCache, CacheGroupsChangeNoBit) {
  for (const Model& model : {Model{128}, Model{64, 70}, Model{96}}) {
    open(model);
    for (const Format kv : {Format::kBF16, kKvFp8}) {
      for (const int64_t step : {int64_t{1}, int64_t{128}}) {
        const Logits one = on_gpu(kv, step);
        for (const int groups : {2, 3}) EXPECT_EQ(on_gpu(kv, step, groups), one) << model.head_dim << " " << groups;
      }
    }
  }
}

// A group with a window beside one without: the layers of each see what is theirs.
TEST_F(CudaCache, AWindowInSomeLayersOnly) {
  open({128});
  const auto checkpoint = this->checkpoint();
  Program lowered = lower(arch_of(*checkpoint).program(config_), {.fuse_into_linear = false});
  split(lowered, 2);
  lowered.caches[1].window = 64;
  const auto some = logits_of(*make_cuda_runner(checkpoint, config_, lowered, options(Format::kBF16, 128), {}), 128);
  const Logits none = on_gpu(Format::kBF16, 128);
  lowered.caches[0].window = 64;
  const auto all = logits_of(*make_cuda_runner(checkpoint, config_, lowered, options(Format::kBF16, 128), {}), 128);
  const auto seen = static_cast<std::ptrdiff_t>(64 * kVocabulary);
  EXPECT_TRUE(std::equal(none.begin(), none.begin() + seen, some.begin()));
  EXPECT_GT(test::squared_error(some, none), 1e-4);
  EXPECT_GT(test::squared_error(all, some), 1e-4);
}

TEST_F(CudaCache, OtherFormatsAreRefused) {
  open({128});
  EXPECT_THROW(on_gpu(Format::kF16, 64), Error);
}

}  // namespace
}  // namespace tern
