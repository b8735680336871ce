// Products that do the ops around them against the same ops as launches of their own: every weight format, steps on
// both sides of where that ends, with biases too. Skipped where there is no GPU.
#include <gtest/gtest.h>

#include <numeric>

#include "engine/runner/cuda_runner.h"
#include "engine/scoring.h"
#include "engine/synthetic_config.h"
#include "model/archs/arch.h"
#include "model/open_model.h"
#include "model/passes/passes.h"
#include "quant/kv_fp8.h"

namespace tern {
namespace {

// Whole steps of 17.
constexpr int64_t kPrompt = 68, kLayers = 4;

std::string config_of(const std::string& architecture) {
  return R"({"architectures":[")" + architecture +
         R"("],"hidden_size":512,"intermediate_size":1536,"num_hidden_layers":4,"num_attention_heads":8,)"
         R"("num_key_value_heads":2,"vocab_size":500,"max_position_embeddings":256,"rms_norm_eps":1e-5,)"
         R"("tie_word_embeddings":false})";
}

struct Decoded {
  std::vector<float> logits;
  int joined = 0;  // ops that products do
};

class CudaFusions : public testing::Test {
 protected:
  void SetUp() override {
    std::string reason;
    if (count_gpus(&reason) == 0) GTEST_SKIP() << reason;
  }

  // Of a prompt in steps of so many tokens.
  Decoded run(const std::string& type, const CudaOptions& cuda, int64_t step, Format kv = Format::kBF16) {
    const auto checkpoint = open_model(file_.model(type), Weights::kReady, 2);
    const ModelConfig config = model_config(*checkpoint);
    RunnerOptions options;
    options.threads = 2;
    options.max_batched_tokens = options.max_rows = step;
    options.max_model_len = 256;
    options.kv_tokens = 1024;
    options.block_tokens = 64;
    options.kv_format = kv;
    const Program program = lower(arch_of(*checkpoint).program(config), {.fuse_into_linear = false});
    const auto runner = make_cuda_runner(checkpoint, config, program, options, cuda);
    Decoded out;
    for (const OpReport& op : runner->report()) out.joined += op.kernel.starts_with("in the product");
    std::vector<int32_t> ids(kPrompt);
    std::iota(ids.begin(), ids.end(), 100);
    score(*runner, {step, step, options.block_tokens}, ids, 0,
          [&](int64_t, std::span<const float> row) { out.logits.insert(out.logits.end(), row.begin(), row.end()); });
    return out;
  }

  void compare(const std::string& type, GpuQuantization quantization, int64_t step, int joined,
               Format kv = Format::kBF16) {
    const Decoded apart = run(type, {.fusions = false, .quantization = quantization}, step, kv);
    const Decoded fused = run(type, {.fusions = true, .quantization = quantization}, step, kv);
    EXPECT_EQ(apart.joined, 0);
    EXPECT_EQ(fused.joined, joined);
    const double off = test::squared_error(fused.logits, apart.logits);
    // Both round to 8 bits, at other places; steps of more than 16 tokens are the same launches.
    EXPECT_LE(off, step > 16 ? 0 : 1e-4) << type << " steps of " << step;
    if (step <= 16) {
      EXPECT_GT(off, 0) << "nothing was done otherwise";
    }
    std::printf("%s, steps of %d: %.2e\n", type.c_str(), static_cast<int>(step), off);
  }

  test::ConfigFile file_{"fusions"};
};

// Rotation, gated activation, and two residual sums with norms. In the last layer neither sum: rows are selected
// between attention's and its product, and the last norm stays.
constexpr int kAll = 4 * kLayers - 2;

TEST_F(CudaFusions, EveryWeightFormat) {
  file_.write(config_of("LlamaForCausalLM"));
  for (const int64_t step : {1, 7, 16, 17}) {
    for (const std::string type : {"bf16", "q4_0", "q4_k_s"}) compare(type, GpuQuantization::kAuto, step, kAll);
    compare("bf16", GpuQuantization::kFp8, step, kAll);
  }
}

TEST_F(CudaFusions, BiasesBelongToTheProduct) {
  file_.write(config_of("Qwen2ForCausalLM"));
  for (const int64_t step : {1, 16}) compare("bf16", GpuQuantization::kAuto, step, kAll);
}

TEST_F(CudaFusions, AnFp8CacheIsWrittenApart) {
  file_.write(config_of("LlamaForCausalLM"));
  compare("bf16", GpuQuantization::kAuto, 7, kAll - kLayers, kKvFp8);
}

}  // namespace
}  // namespace tern
