// Random decoders, described as config.json and tensors would, are inferred to the program built from their facts; with
// any one tensor away or any unknown key more they are refused.
#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <random>
#include <span>
#include <vector>

#include "model/blocks/transformer.h"
#include "plan/autodeploy/inference.h"
#include "plan/program_comparison.h"

namespace tern {
namespace {

class RandomDecoder {
 public:
  explicit RandomDecoder(uint64_t seed) : rng_(seed) {
    draw_facts();
    describe();
    for (const Op& op : decoder(config).ops) {
      for (const WeightUse& use : op.weights) add_tensor(use);
      for (const WeightUse& use : op.biases) add_tensor(use);
    }
    checkpoint.index_tensors();
  }

  ModelConfig config;
  Checkpoint checkpoint;

 private:
  int64_t draw(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(rng_); }
  bool coin() { return draw(0, 1) == 1; }

  void draw_facts() {
    ModelConfig& c = config;
    c.layers = draw(1, 5);
    c.kv_heads = draw(1, 3);
    c.heads = c.kv_heads * draw(1, 3);
    c.head_dim = 2 * draw(4, 12);
    c.hidden = 8 * draw(2, 9) + 1;  // no product of heads: a norm's length says what it is of
    c.ffn = 8 * draw(2, 9);
    c.vocabulary = draw(20, 60);
    c.context = 512;
    c.tied_embeddings = coin();
    c.fused_projections = draw(0, 3) == 0;
    c.qkv_bias = !c.fused_projections && coin();
    c.output_bias = coin();
    c.layer_norms = c.norm_bias = coin();
    c.gated = c.fused_projections || draw(0, 2) > 0;
    c.head_norms = !c.layer_norms && coin();
    c.row_norms = !c.layer_norms && !c.head_norms && c.heads > 1 && c.kv_heads > 1 && coin();
    c.post_norms = coin();
    c.input_norms = !c.post_norms || coin();
    c.parallel_blocks = !c.post_norms && draw(0, 2) == 0;
    if (!c.parallel_blocks && coin()) c.residual_scale = 0.5f;
    if (coin()) c.logit_soft_cap = 30;
    if (!c.fused_projections && c.gated && coin()) {
      c.route.experts = draw(2, 5);
      c.route.used = draw(1, c.route.experts);
      c.route.normalized = coin();
      c.expert_ffn = 8 * draw(1, 5);
    }
    c.ffn_bias = !c.fused_projections && c.route.experts == 0 && coin();
    c.rope.style = coin() ? RopeStyle::kHalves : RopeStyle::kInterleaved;
    c.rope.theta = 5e5;
    c.rope.dims = c.head_dim;
    c.rope.original_context = c.context;
    if (coin()) {
      c.local_rope = c.rope;
      c.local_rope.theta = 1e4;
      for (int64_t i = 0; i < c.layers; ++i) {
        const bool local = coin();
        c.layer_attention.push_back({.window = local ? 64 : 0, .rope = local ? 1 : 0});
      }
    }
  }

  void describe() {
    const ModelConfig& c = config;
    Metadata& m = checkpoint.metadata = Metadata("[hf] random");
    checkpoint.kind = CheckpointKind::kHuggingFace;
    for (const auto& [key, value] : {std::pair<const char*, int64_t>{"num_hidden_layers", c.layers},
                                     {"hidden_size", c.hidden},
                                     {"num_attention_heads", c.heads},
                                     {"num_key_value_heads", c.kv_heads},
                                     {"head_dim", c.head_dim},
                                     {"intermediate_size", c.ffn},
                                     {"vocab_size", c.vocabulary},
                                     {"max_position_embeddings", c.context}}) {
      m.set(key, {value});
    }
    m.set(c.layer_norms ? "layer_norm_eps" : "rms_norm_eps", {1e-5});
    m.set("rope_theta", {5e5});
    m.set("hidden_act", {std::string_view("silu")});
    m.set("tie_word_embeddings", {c.tied_embeddings});
    if (c.residual_scale != 1) m.set("residual_multiplier", {0.5});
    if (c.logit_soft_cap != 0) m.set("final_logit_softcapping", {30.0});
    if (c.route.experts > 0) {
      m.set("num_experts", {c.route.experts});
      m.set("num_experts_per_tok", {c.route.used});
      m.set("moe_intermediate_size", {c.expert_ffn});
      m.set("norm_topk_prob", {c.route.normalized});
    }
    if (c.layer_attention.empty()) return;
    m.set("sliding_window", {int64_t{64}});
    m.set("rope_local_base_freq", {1e4});
    MetadataArray types;
    for (const LayerAttention& layer : c.layer_attention)
      types.strings.emplace_back(layer.window > 0 ? "sliding_attention" : "full_attention");
    types.size = types.strings.size();
    m.set("layer_types", {types});
  }

  std::string name_of_tensor(Role role, int32_t layer) const {
    // The usual name is that of the norm behind attention in models that have one.
    if (role == Role::kFfnNorm && config.post_norms)
      return layer_name("model.layers.#.pre_feedforward_layernorm.weight", layer);
    return tensor_name(role, layer, CheckpointKind::kHuggingFace);
  }

  void add_tensor(const WeightUse& use) {
    if (use.role == Role::kNone) return;
    int64_t rows = use.rows;
    if (use.role == Role::kAttentionQkv) rows = (config.heads + 2 * config.kv_heads) * config.head_dim;
    if (use.role == Role::kFfnGateUp) rows = 2 * config.ffn;
    for (int64_t e = 0; e < std::max<int64_t>(use.experts, 1); ++e) {
      std::string name = name_of_tensor(use.role, use.layer);
      if (use.bias) name = bias_name(std::move(name));
      if (const size_t at = name.find('@'); at != std::string::npos) name.replace(at, 1, std::to_string(e));
      const bool there = std::any_of(checkpoint.tensors.begin(), checkpoint.tensors.end(),
                                     [&](const TensorInfo& tensor) { return tensor.name == name; });
      if (there) continue;
      checkpoint.strings.push_back(std::make_shared<const std::string>(name));
      TensorInfo tensor;
      tensor.name = *checkpoint.strings.back();
      tensor.shape = rows == 1 ? std::vector{use.cols} : std::vector{rows, use.cols};
      if (rows == 1) {  // norms and biases are read when a program's weights are checked
        vectors_.emplace_back(static_cast<size_t>(use.cols));
        tensor.data = std::as_bytes(std::span(vectors_.back()));
      }
      checkpoint.tensors.push_back(tensor);
    }
  }

  std::mt19937_64 rng_;
  std::deque<std::vector<float>> vectors_;  // what tensors of one row hold
};

TEST(AutoDeployRandom, DecodersAreInferredOrRefused) {
  for (uint64_t seed = 0; seed < 400; ++seed) {
    RandomDecoder random(seed);
    const ToldFacts told{{"rope_pairs", random.config.rope.style == RopeStyle::kHalves ? "halves" : "interleaved"}};
    const Inference inference = infer_model(random.checkpoint, told);
    ASSERT_TRUE(inference.sure()) << "seed " << seed << "\n" << to_string(inference);
    test::expect_same(decoder(inference.config), decoder(random.config));
    test::expect_same(inference.config.rope, random.config.rope);
    ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;

    Checkpoint fewer = random.checkpoint;
    fewer.tensors.erase(fewer.tensors.begin() + static_cast<int64_t>(seed % fewer.tensors.size()));
    const Inference without = infer_model(fewer, told);
    if (without.sure()) {
      // A head matrix less, where nothing else says so, or a whole feature of a model with one layer.
      EXPECT_NE(to_string(decoder(without.config)), to_string(decoder(random.config))) << "seed " << seed;
      EXPECT_EQ(random.config.layers, 1) << "seed " << seed << "\n" << to_string(without);
    }
    Checkpoint more = random.checkpoint;
    more.metadata.set("use_alibi", {true});
    EXPECT_FALSE(infer_model(more, told).sure());
  }
}

}  // namespace
}  // namespace tern
