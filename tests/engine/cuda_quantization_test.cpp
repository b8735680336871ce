// The CUDA runner with weights in their own precision against itself with the same weights in bf16. Skipped where there
// is no GPU.
#include <gtest/gtest.h>

#include <numeric>

#include "engine/runner/cuda_runner.h"
#include "engine/scoring.h"
#include "engine/synthetic_config.h"
#include "model/archs/arch.h"
#include "model/open_model.h"
#include "model/passes/passes.h"

namespace tern {
namespace {

constexpr const char* kConfig =
    R"({"architectures":["LlamaForCausalLM"],"hidden_size":512,"intermediate_size":1536,"num_hidden_layers":4,
        "num_attention_heads":8,"num_key_value_heads":2,"vocab_size":500,"max_position_embeddings":256,
        "rms_norm_eps":1e-5,"tie_word_embeddings":false})";
constexpr int64_t kPrompt = 100;

class CudaQuantization : public testing::Test {
 protected:
  void SetUp() override {
    std::string reason;
    if (count_gpus(&reason) == 0) GTEST_SKIP() << reason;
    file_.write(kConfig);
  }

  // Of a prompt in steps of so many tokens; `kernel` becomes the one of the down projection.
  std::vector<float> logits(const std::string& type, GpuQuantization quantization, int64_t step, std::string* kernel) {
    const auto checkpoint = open_model(file_.model(type), Weights::kReady, 2);
    const ModelConfig config = model_config(*checkpoint);
    RunnerOptions options;
    options.threads = 2;
    options.max_batched_tokens = step;
    options.max_rows = step;
    options.max_model_len = 256;
    options.kv_tokens = 1024;
    options.block_tokens = 64;
    options.kv_format = Format::kBF16;
    const Program program = lower(arch_of(*checkpoint).program(config), {.fuse_into_linear = false});
    const auto runner = make_cuda_runner(checkpoint, config, program, options, {.quantization = quantization});
    for (const OpReport& op : runner->report()) {
      if (op.name == "ffn_down") *kernel = op.kernel;
    }
    std::vector<int32_t> ids(kPrompt);
    std::iota(ids.begin(), ids.end(), 100);
    std::vector<float> all(static_cast<size_t>(kPrompt * config.vocabulary));
    score(*runner, {step, step, options.block_tokens}, ids, 0, [&](int64_t position, std::span<const float> row) {
      std::copy(row.begin(), row.end(), all.begin() + position * config.vocabulary);
    });
    return all;
  }

  double error(const std::string& type, GpuQuantization quantization, int64_t step, std::string* kernel) {
    std::string other;
    const std::vector<float> want = logits(type, GpuQuantization::kNone, step, &other);
    const std::vector<float> got = logits(type, quantization, step, kernel);
    return test::squared_error(got, want);
  }

  test::ConfigFile file_{"quantization"};
};

// Few tokens and many: kernels change behind 16, of 4-bit weights behind 64.
constexpr int64_t kSteps[] = {1, 7, 16, 17, 64, 65, 100};

// The same weights: only roundings to bf16 differ, as between any two kernels.
TEST_F(CudaQuantization, FourBitsAreMultipliedAsTheyAre) {
  for (const std::string type : {"q4_0", "q4_k_s"}) {
    for (const int64_t step : kSteps) {
      std::string kernel;
      const double off = error(type, GpuQuantization::kAuto, step, &kernel);
      EXPECT_LE(off, 1e-4) << type << " " << step;
      EXPECT_NE(kernel.find("w4_unpack"), std::string::npos) << kernel;
      std::printf("%s, steps of %d: %.2e, %s\n", type.c_str(), static_cast<int>(step), off, kernel.c_str());
    }
  }
}

// A rounding to e4m3 is off by 2.6 % of the value (2^-4 / sqrt 6, less where mantissas are small), of weights always
// and of activations in steps of many tokens: 7e-4 squared a product at most, and what is added to the residual stream
// is a part of it.
TEST_F(CudaQuantization, Fp8IsNear) {
  for (const std::string type : {"bf16", "q4_0", "q6_k"}) {
    for (const int64_t step : kSteps) {
      std::string kernel;
      const double off = error(type, GpuQuantization::kFp8, step, &kernel);
      EXPECT_LE(off, 3e-3) << type << " " << step;
      EXPECT_GE(off, 1e-4) << type << " " << step << ": not rounded at all";
      EXPECT_NE(kernel.find("cublaslt_fp8"), std::string::npos) << kernel;
      std::printf("fp8 of %s, steps of %d: %.2e, %s\n", type.c_str(), static_cast<int>(step), off, kernel.c_str());
    }
  }
}

TEST_F(CudaQuantization, OthersAreDecoded) {
  std::string kernel;
  EXPECT_EQ(error("q8_0", GpuQuantization::kAuto, 7, &kernel), 0);
  EXPECT_EQ(kernel.find("fp8"), std::string::npos) << kernel;
}

}  // namespace
}  // namespace tern
