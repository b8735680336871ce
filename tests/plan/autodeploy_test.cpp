// Inference of architectures: every known one, unknown to it, comes out as the same program, or is refused with a
// reason; tensors under other names are found; what could change the result and is not understood is refused.
#include "plan/autodeploy/inference.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "engine/golden_models.h"
#include "model/archs/arch.h"
#include "model/blocks/transformer.h"
#include "model/weights.h"
#include "plan/autodeploy/rope_pairs.h"
#include "plan/program_comparison.h"

namespace tern {
namespace {

using test::expect_same;

bool doubted(const Inference& inference, std::string_view words) {
  return std::any_of(inference.doubts.begin(), inference.doubts.end(),
                     [&](const std::string& doubt) { return doubt.find(words) != std::string::npos; });
}

std::string text_of(Activation activation) {
  return activation == Activation::kSilu ? "silu" : activation == Activation::kGelu ? "gelu" : "gelu_tanh";
}

// What no file of this kind says, taken from the architecture's row.
ToldFacts unsaid(const Checkpoint& checkpoint, const ModelConfig& known) {
  ToldFacts told{{"rope_pairs", known.rope.style == RopeStyle::kHalves ? "halves" : "interleaved"}};
  if (known.window > 0 && known.layer_attention.empty()) told["window_layers"] = "all";
  const bool both = checkpoint.metadata.has("layer_norm_eps") && checkpoint.metadata.has("rms_norm_eps");
  if (known.layer_norms && !known.norm_bias) told["norms"] = "layer";
  EXPECT_TRUE(!told.contains("norms") || both || checkpoint.kind == CheckpointKind::kGguf);
  if (known.parallel_blocks && !known.layer_attention.empty()) told["window_rope"] = "alone";
  if (checkpoint.kind == CheckpointKind::kHuggingFace) {
    if (known.fused_projections && !known.gated) told["qkv_rows"] = "q_k_v";
    return told;
  }
  told["activation"] = text_of(known.activation);
  if (known.activation != Activation::kSilu) told["embedding_scale"] = known.embedding_scale == 1 ? "1" : "sqrt_hidden";
  if (known.logit_scale != 1) told["logit_scale"] = known.parallel_blocks ? "multiplies" : "divides";
  if (known.route.experts > 0) told["expert_weights"] = known.route.normalized ? "sum_1" : "softmax";
  told["unrotated_layers"] = "none";
  for (int64_t i = 0; i < known.layers; ++i) {
    if (known.attention_of(i).rope >= 0 || told.contains("window_rope")) continue;
    told["unrotated_layers"] = std::to_string(i + 1);
    break;
  }
  for (int64_t i = 0; i < known.layers; ++i) {
    if (known.layer_attention.empty() || known.layer_attention[0].window == 0 || known.attention_of(i).window > 0)
      continue;
    told["window_layers"] = std::to_string(i + 1);
    if (!told.contains("window_rope"))
      told["window_rope"] = known.layer_attention[0].rope == 1 ? std::to_string(known.local_rope.theta) : "same";
    break;
  }
  return told;
}

// Architectures made of blocks that inference does not know, and a folder, by what the refusal says.
struct Refused {
  std::string_view architecture, reason;
};
constexpr Refused kRefused[] = {
    {"gemma3-image-tiny", "is not said"},  // what its class has by default
    {"gpt-oss", "attention sinks"},       {"deepseek2", "latent attention"}, {"bert", "no role explains it"},
    {"lfm2", "a short convolution"},      {"llama4", "shared experts"},      {"qwen3next", "no role explains it"},
};

// Every weight of `program` that is not of experts, as either checkpoint has it.
void expect_same_weights(const Program& program, const Checkpoint& a, const Checkpoint& b) {
  const WeightMap of_a(a), of_b(b);
  for (const Op& op : program.ops) {
    for (const WeightUse& use : op.weights) {
      if (use.role == Role::kNone || use.experts > 0) continue;
      ASSERT_EQ(decode_tensor(of_a.tensor(use)), decode_tensor(of_b.tensor(use))) << name_of(use.role);
    }
    for (const WeightUse& use : op.biases) {
      if (use.experts > 0) continue;
      ASSERT_EQ(of_a.vector(use), of_b.vector(use)) << name_of(use.role);
    }
  }
}

class KnownArchitectures : public testing::TestWithParam<test::Golden> {};

TEST_P(KnownArchitectures, UnknownToInferenceComeOutAsTheSameProgram) {
  const auto checkpoint = open_checkpoint(GetParam().path);
  const ArchSpec& row = arch_of(*checkpoint);
  for (const Refused& refused : kRefused) {
    if (refused.architecture != row.name && refused.architecture != GetParam().name) continue;
    EXPECT_TRUE(doubted(infer_model(*checkpoint, {}), refused.reason));
    return;
  }
  const ModelConfig known = model_config(*checkpoint);
  const Inference inference = infer_model(*checkpoint, unsaid(*checkpoint, known));
  ASSERT_TRUE(inference.sure()) << to_string(inference);
  expect_same(decoder(inference.config), row.program(known));
  expect_same_weights(row.program(known), *inference.checkpoint, *checkpoint);
  expect_same(inference.config.rope, known.rope);
  if (known.local_rope.dims > 0) expect_same(inference.config.local_rope, known.local_rope);
  EXPECT_EQ(inference.config.context, known.context);
}

// Random weights show nothing of rotations.
TEST_P(KnownArchitectures, AreRefusedWhileRotationsAreNeitherMeasuredNorTold) {
  EXPECT_TRUE(!infer_model(*open_checkpoint(GetParam().path), {}).sure());
}

INSTANTIATE_TEST_SUITE_P(All, KnownArchitectures, testing::ValuesIn(test::goldens()),
                         [](const auto& instance) { return test::test_name(instance.param); });

// A checkpoint of the golden folder `name` with other names, metadata or tensors.
struct Altered {
  Checkpoint checkpoint;
  std::vector<std::string> names;

  explicit Altered(const std::string& name)
      : checkpoint(*open_checkpoint(test::golden_dir() + "/models/" + name + "/hf")) {
    names.reserve(checkpoint.tensors.size() + 8);
  }
  void rename(std::string_view from, std::string_view to) {
    for (TensorInfo& tensor : checkpoint.tensors) {
      std::string text(tensor.name);
      const size_t at = text.find(from);
      if (at == std::string::npos) continue;
      checkpoint.strings.push_back(std::make_shared<const std::string>(text.replace(at, from.size(), to)));
      tensor.name = *checkpoint.strings.back();
    }
  }
  // Every key but `key`, and that one where `value` is there.
  void set(const std::string& key, std::optional<MetadataValue> value) {
    Metadata changed(checkpoint.metadata.source());
    for (const std::string& other : checkpoint.metadata.keys())
      if (other != key) changed.set(other, *checkpoint.metadata.find(other));
    if (value) changed.set(key, *value);
    checkpoint.metadata = std::move(changed);
  }
  Inference infer(ToldFacts told = {{"rope_pairs", "halves"}}) const { return infer_model(checkpoint, told); }
};

TEST(AutoDeploy, TensorsUnderOtherNamesAreFound) {
  Altered altered("qwen3-tiny");
  const ModelConfig known = model_config(*open_checkpoint(test::golden_dir() + "/models/qwen3-tiny/hf"));
  altered.rename("model.layers.", "transformer.h.");
  altered.rename("self_attn", "attn");
  altered.rename("model.embed_tokens", "transformer.wte");
  altered.rename("model.norm", "transformer.ln_f");
  altered.rename("input_layernorm", "ln_1");
  altered.rename("post_attention_layernorm", "ln_2");
  altered.rename("gate_proj", "w1");
  altered.rename("up_proj", "w3");
  altered.rename("down_proj", "w2");
  const MetadataValue layers = *altered.checkpoint.metadata.find("num_hidden_layers");
  altered.set("num_hidden_layers", std::nullopt);
  altered.set("n_layer", layers);
  const Inference inference = altered.infer();
  ASSERT_TRUE(inference.sure()) << to_string(inference);
  expect_same(decoder(inference.config), decoder(known));
  EXPECT_NE(to_string(inference).find("transformer.h.#.attn.q_norm.weight"), std::string::npos);
}

TEST(AutoDeploy, WhatMayChangeTheResultAndIsNotUnderstoodIsRefused) {
  struct Case {
    const char* key;
    std::optional<MetadataValue> value;
    const char* words;
  };
  const Case cases[] = {
      {"clip_qkv", MetadataValue{8.0}, "clip_qkv"},
      {"use_parallel_residual", MetadataValue{true}, "use_parallel_residual"},
      {"mlp_bias", MetadataValue{true}, "mlp_bias"},
      {"rms_norm_eps", std::nullopt, "rms_norm_eps"},
      {"rope_theta", std::nullopt, "rotary positions"},
      {"sliding_window", MetadataValue{int64_t{64}}, "which layers"},
      {"attention_bias", MetadataValue{true}, "attention_bias"},
      {"n_layer", MetadataValue{int64_t{2}}, "said twice"},
      {"num_hidden_layers", MetadataValue{int64_t{3}}, "layers"},
      {"num_local_experts", MetadataValue{int64_t{0}}, nullptr},  // no experts: as before
      {"hidden_act", MetadataValue{std::string_view("gelu")}, "norm_plus"},
      {"hidden_act", std::nullopt, "activation"},
      {"tie_word_embeddings", MetadataValue{false}, nullptr},
  };
  for (const Case& c : cases) {
    Altered altered("llama-tiny");
    altered.set(c.key, c.value);
    const Inference inference = altered.infer();
    EXPECT_EQ(inference.sure(), c.words == nullptr) << c.key << "\n" << to_string(inference);
    EXPECT_TRUE(c.words == nullptr || doubted(inference, c.words)) << c.key << "\n" << to_string(inference);
  }
}

// Of layer norms, tables of positions and products in one tensor.
TEST(AutoDeploy, WhatFilesWithoutGatesLeaveOpenIsRefused) {
  const ToldFacts rows{{"qkv_rows", "q_k_v"}};
  EXPECT_TRUE(Altered("gpt2-tiny").infer(rows).sure()) << to_string(Altered("gpt2-tiny").infer(rows));
  EXPECT_TRUE(doubted(Altered("gpt2-tiny").infer({}), "qkv_rows"));
  EXPECT_TRUE(doubted(Altered("command-r-tiny").infer(), "take away the mean"));
  EXPECT_THROW(Altered("command-r-tiny").infer({{"norms", "loud"}}), Error);
  EXPECT_TRUE(doubted(Altered("starcoder2-tiny").infer({{"rope_pairs", "halves"}, {"norms", "rms"}}), "biases"));
  struct Case {
    const char *model, *key;
    MetadataValue value;
    const char* words;
  };
  for (const Case& c : {Case{"gpt2-tiny", "rope_theta", {1e4}, "a table of them, and a base"},
                        {"gpt2-tiny", "scale_attn_by_inverse_layer_idx", {true}, "scale_attn_by"},
                        {"gpt2-tiny", "scale_attn_weights", {false}, "scale_attn_weights"},
                        {"gpt2-tiny", "n_ctx", {int64_t{64}}, "n_ctx"},
                        {"starcoder2-tiny", "use_bias", {false}, "use_bias"},
                        {"command-r-tiny", "use_qk_norm", {true}, "use_qk_norm"},
                        {"command-r-tiny", "logits_scaling", {2.0}, "multiplier and a divisor"},
                        {"command-r-tiny", "residual_multiplier", {0.5}, "residual multiplier"}}) {
    Altered altered(c.model);
    altered.set(c.key, c.value);
    const Inference inference = altered.infer({{"rope_pairs", "halves"}, {"norms", "layer"}, {"qkv_rows", "q_k_v"}});
    EXPECT_TRUE(doubted(inference, c.words)) << c.key << "\n" << to_string(inference);
  }
}

// One bias or matrix that lies otherwise than the rest.
TEST(AutoDeploy, PartsThatDifferFromTheOthersAreRefused) {
  for (const auto& [from, to] : {std::pair{"h.1.ln_2.bias", "h.1.ln_2.shift"}, {"mlp.c_fc.bias", "mlp.c_fc.shift"}}) {
    Altered altered("gpt2-tiny");
    altered.rename(from, to);
    EXPECT_FALSE(altered.infer({{"qkv_rows", "q_k_v"}}).sure()) << from;
  }
  Altered altered("gpt2-tiny");
  for (TensorInfo& tensor : altered.checkpoint.tensors)
    if (tensor.name.find("h.1.mlp.c_fc.weight") != std::string_view::npos) std::swap(tensor.shape[0], tensor.shape[1]);
  EXPECT_FALSE(altered.infer({{"qkv_rows", "q_k_v"}}).sure());
}

TEST(AutoDeploy, UnknownKindsOfActivationAndRotationAreRefused) {
  for (const auto& [key, value] : {std::pair{"hidden_act", "relu2"}, {"rope_parameters.rope_type", "spiral"}}) {
    Altered altered("granite-tiny");
    altered.set(key, MetadataValue{std::string_view(value)});
    try {
      EXPECT_FALSE(altered.infer().sure());
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(value), std::string::npos);
    }
  }
}

TEST(AutoDeploy, TensorsThatNoRoleExplainsAreRefused) {
  for (const auto& [from, to] : {std::pair{"layers.1.self_attn.q_proj", "layers.1.self_attn.rel_pos"},
                                 {"layers.0.mlp.up_proj", "layers.0.adapter.up_proj"},
                                 {"self_attn.k_proj", "self_attn.q_proj"},
                                 {"lm_head", "visual.head"}}) {
    Altered altered("llama-tiny");
    altered.rename(from, to);
    const Inference inference = altered.infer();
    EXPECT_FALSE(inference.sure()) << from << "\n" << to_string(inference);
    EXPECT_TRUE(doubted(inference, "tensor")) << to_string(inference);
  }
}

TEST(AutoDeploy, ATensorOfAnotherShapeIsRefused) {
  Altered altered("llama-tiny");
  for (TensorInfo& tensor : altered.checkpoint.tensors)
    if (tensor.name.find("layers.1.mlp.down_proj") != std::string_view::npos)
      std::swap(tensor.shape[0], tensor.shape[1]);
  const Inference inference = altered.infer();
  EXPECT_TRUE(doubted(inference, "down_proj") || doubted(inference, "ffn_down")) << to_string(inference);
}

TEST(AutoDeploy, WhatIsToldMustBeAFact) {
  EXPECT_THROW(Altered("llama-tiny").infer({{"colour", "red"}}), Error);
  EXPECT_THROW(Altered("llama-tiny").infer({{"rope_pairs", "thirds"}}), Error);
  EXPECT_THROW(Altered("gemma2-tiny").infer({{"rope_pairs", "halves"}, {"embedding_scale", "-1"}}), Error);
}

// Keys whose pairs have equal norms, as training leaves them, in either layout.
TEST(RopePairs, AreMeasuredFromTheNormsOfKeys) {
  constexpr int64_t kHeads = 4, kHeadDim = 64, kCols = 32;
  constexpr int32_t kLayers = 8;
  const auto measure = [&](std::optional<RopeStyle> style) {
    std::vector<std::vector<float>> weights(kLayers, std::vector<float>(kHeads * kHeadDim * kCols));
    std::vector<TensorInfo> tensors(kLayers);
    TensorRoles roles;
    roles.layers = kLayers;
    uint32_t state = 1;
    const auto draw = [&] { return static_cast<float>((state = state * 1664525u + 1013904223u) >> 8) / (1 << 24); };
    for (int32_t layer = 0; layer < kLayers; ++layer) {
      for (int64_t head = 0; head < kHeads; ++head) {
        std::vector<float> sizes(kHeadDim);
        for (float& size : sizes) size = 0.2f + draw();
        for (int64_t i = 0; i < kHeadDim; ++i) {
          const int64_t of = !style ? i : *style == RopeStyle::kHalves ? i % (kHeadDim / 2) : i / 2;
          float* row = weights[static_cast<size_t>(layer)].data() + (head * kHeadDim + i) * kCols;
          for (int64_t c = 0; c < kCols; ++c) row[c] = sizes[static_cast<size_t>(of)] * (draw() - 0.5f);
        }
      }
      TensorInfo& k = tensors[static_cast<size_t>(layer)];
      k.shape = {kHeads * kHeadDim, kCols};
      k.data = std::as_bytes(std::span(weights[static_cast<size_t>(layer)]));
      roles.tensors[{Role::kAttentionK, layer, -1, false}] = &k;
    }
    return measure_rope_pairs(roles, kHeads, kHeads, kHeadDim, kHeadDim).style();
  };
  EXPECT_EQ(measure(RopeStyle::kHalves), RopeStyle::kHalves);
  EXPECT_EQ(measure(RopeStyle::kInterleaved), RopeStyle::kInterleaved);
  EXPECT_EQ(measure(std::nullopt), std::nullopt);
}

}  // namespace
}  // namespace tern
