// Synthetic models of every type run: through 32 layers the logits stay finite and of the deviation that was chosen,
// with the fast kernels and with the reference ones.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "engine/scoring.h"
#include "engine/synthetic_config.h"
#include "model/archs/arch.h"
#include "model/open_model.h"
#include "model/passes/passes.h"
#include "model/synthetic/tensor_types.h"

namespace tern {
namespace {

constexpr const char* kConfig =
    R"({"architectures":["LlamaForCausalLM"],"hidden_size":256,"intermediate_size":768,"num_hidden_layers":32,
        "num_attention_heads":4,"num_key_value_heads":1,"vocab_size":500,"max_position_embeddings":256,
        "rms_norm_eps":1e-5,"tie_word_embeddings":false})";

constexpr const char* kMixture =
    R"({"architectures":["Qwen3MoeForCausalLM"],"hidden_size":256,"intermediate_size":768,"num_hidden_layers":32,
        "num_attention_heads":4,"num_key_value_heads":1,"head_dim":64,"vocab_size":500,"max_position_embeddings":256,
        "rms_norm_eps":1e-5,"tie_word_embeddings":false,"num_experts":8,"num_experts_per_tok":2,
        "moe_intermediate_size":256,"norm_topk_prob":true})";

class SyntheticEngine : public testing::Test {
 protected:
  SyntheticEngine() { file_.write(kConfig); }

  void use(const char* config) { file_.write(config); }

  double deviation(const std::string& type, const char* kernels) const {
    const auto checkpoint = open_model(file_.model(type), Weights::kReady, 2);
    const ModelConfig config = model_config(*checkpoint);
    RunnerOptions options;
    options.threads = 1;
    options.max_rows = 16;
    options.max_model_len = 64;
    options.kv_tokens = 64;
    options.kernels = KernelSelection::parse(kernels);
    const auto runner = make_cpu_runner(checkpoint, config, lower(arch_of(*checkpoint).program(config)), options);
    std::vector<int32_t> ids(24);
    std::iota(ids.begin(), ids.end(), 100);
    double squares = 0;
    score(*runner, {16, 16, options.block_tokens}, ids, 0, [&](int64_t, std::span<const float> logits) {
      for (const float logit : logits) squares += static_cast<double>(logit) * static_cast<double>(logit);
    });
    return std::sqrt(squares / (24 * 500));
  }

 private:
  test::ConfigFile file_{"synth"};
};

TEST_F(SyntheticEngine, LogitsKeepTheirSizeThroughManyLayers) {
  const std::string names = type_mix_names();
  for (size_t at = 0; at < names.size();) {
    const size_t end = std::min(names.find(", ", at), names.size());
    const std::string type = names.substr(at, end - at);
    for (const char* kernels : {"", "ref"}) EXPECT_NEAR(deviation(type, kernels), 3.0, 0.5) << type << " " << kernels;
    at = end + 2;
  }
}

TEST_F(SyntheticEngine, MixturesOfExpertsRun) {
  use(kMixture);
  for (const char* type : {"q4_k_m", "q8_0", "bf16", "f32"}) {
    for (const char* kernels : {"", "ref"}) EXPECT_NEAR(deviation(type, kernels), 3.0, 0.5) << type << " " << kernels;
  }
}

}  // namespace
}  // namespace tern
