// Llama 4, its text part: three of four layers rotate positions and see their own chunk of 8,192 tokens alone, the
// fourth does neither and scales queries with their position. A token's expert gets its input times the router's
// sigmoid; every token goes to a shared one too. GGUF files leave out what the two released models have in common.
#include <array>

#include "model/archs/arch.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 1> kGgufNames{"llama4"};
constexpr std::array<std::string_view, 2> kHuggingFaceNames{"Llama4ForCausalLM", "Llama4ForConditionalGeneration"};
constexpr std::string_view kBoth = "model.layers.#.feed_forward.experts.gate_up_proj";
constexpr StoredForm kFront{.transposed = true, .step = 2, .first = 0, .by_turns = false};
constexpr StoredForm kBack{.transposed = true, .step = 2, .first = 1, .by_turns = false};
constexpr std::array kNames{
    RoleName{Role::kFfnGate, "blk.#.ffn_gate.weight", "model.layers.#.feed_forward.gate_proj.weight"},
    RoleName{Role::kFfnUp, "blk.#.ffn_up.weight", "model.layers.#.feed_forward.up_proj.weight"},
    RoleName{Role::kFfnDown, "blk.#.ffn_down.weight", "model.layers.#.feed_forward.down_proj.weight"},
    RoleName{Role::kRouter, "blk.#.ffn_gate_inp.weight", "model.layers.#.feed_forward.router.weight"},
    RoleName{Role::kExpertGate, "blk.#.ffn_gate_exps.weight", kBoth, kFront},
    RoleName{Role::kExpertUp, "blk.#.ffn_up_exps.weight", kBoth, kBack},
    RoleName{Role::kExpertDown,
             "blk.#.ffn_down_exps.weight",
             "model.layers.#.feed_forward.experts.down_proj",
             {.transposed = true}},
    RoleName{Role::kSharedGate, "blk.#.ffn_gate_shexp.weight",
             "model.layers.#.feed_forward.shared_expert.gate_proj.weight"},
    RoleName{Role::kSharedUp, "blk.#.ffn_up_shexp.weight", "model.layers.#.feed_forward.shared_expert.up_proj.weight"},
    RoleName{Role::kSharedDown, "blk.#.ffn_down_shexp.weight",
             "model.layers.#.feed_forward.shared_expert.down_proj.weight"},
};
// Of Llama4TextConfig in transformers.
constexpr std::array kDefaults{
    FactDefault{"num_attention_heads", 40}, FactDefault{"num_key_value_heads", 8},
    FactDefault{"head_dim", 128},           FactDefault{"hidden_size", 5120},
    FactDefault{"intermediate_size", 8192}, FactDefault{"intermediate_size_mlp", 16384},
    FactDefault{"num_hidden_layers", 48},   FactDefault{"num_local_experts", 16},
    FactDefault{"num_experts_per_tok", 1},  FactDefault{"max_position_embeddings", 131072},
    FactDefault{"rms_norm_eps", 1e-5},      FactDefault{"rope_theta", 5e5},
};
constexpr int64_t kMax = 1 << 24, kChunk = 8192, kNormlessExperts = 128, kNoRopeStep = 4;
constexpr double kQueryScale = 0.1;

// Which layers rotate.
std::vector<bool> rotating(const Metadata& metadata, int64_t layers) {
  std::vector<bool> out;
  for (int64_t layer = 0; layer < layers; ++layer) out.push_back(layer % kNoRopeStep != kNoRopeStep - 1);
  if (!metadata.has("no_rope_layers") || metadata.array_size("no_rope_layers") == 0) return out;
  const std::vector<int64_t> given = metadata.integers("no_rope_layers");
  if (given.size() != out.size()) metadata.refuse("no_rope_layers", "is not one number a layer");
  for (size_t i = 0; i < out.size(); ++i) out[i] = given[i] != 0;
  return out;
}

void read_hugging_face(const Metadata& metadata, ModelConfig& c) {
  c.ffn = metadata.integer_or("intermediate_size_mlp", c.ffn, 1, kMax);
  c.mixture_step = metadata.integer_or("interleave_moe_layer_step", 1, 1, kMax);
  c.window = metadata.integer_or("attention_chunk_size", 0, 0, kMax);
  c.unit_head_norms = metadata.boolean_or("use_qk_norm", true);
  if (metadata.boolean_or("attn_temperature_tuning", true)) {
    c.query_scale = static_cast<float>(metadata.number_or("attn_scale", kQueryScale));
    c.query_scale_length = metadata.integer_or("floor_scale", kChunk, 1, kMax);
  }
  refuse_flag(metadata, "attention_bias");
}

void read_gguf(const Metadata& metadata, ModelConfig& c) {
  c.mixture_step = metadata.integer_or("llama4.interleave_moe_layer_step", 1, 1, kMax);
  c.window = metadata.integer_or("llama4.attention.sliding_window", kChunk, 0, kMax);
  c.unit_head_norms = c.route.experts != kNormlessExperts;
  c.query_scale = static_cast<float>(metadata.number_or("llama4.attention.temperature_scale", kQueryScale));
  c.query_scale_length = metadata.integer_or("llama4.attention.temperature_length", kChunk, 1, kMax);
}

ModelConfig config(const Checkpoint& checkpoint) {
  ModelConfig c = decoder_config(checkpoint);
  const bool gguf = checkpoint.kind == CheckpointKind::kGguf;
  c.rope.style = RopeStyle::kInterleaved;
  read_experts(checkpoint, c);
  c.shared_ffn = c.expert_ffn;
  c.route.sigmoid = c.route.scales_input = true;
  c.route.normalized = false;
  gguf ? read_gguf(checkpoint.metadata, c) : read_hugging_face(checkpoint.metadata, c);
  const std::vector<bool> rotates = rotating(checkpoint.metadata, c.layers);
  const bool plain = gguf && c.window == 0;  // a file that says so has neither chunks nor layers without rotation
  for (const bool rotated : rotates) {
    const bool chunked = rotated && c.window > 0;
    c.layer_attention.push_back(
        {.window = chunked ? c.window : 0, .rope = rotated || plain ? 0 : -1, .chunked = chunked});
  }
  c.window = 0;
  return c;
}

}  // namespace

constinit const ArchSpec kArchLlama4{"llama4", kGgufNames, kHuggingFaceNames, config, decoder, "Llama 4",
                                     kNames,   "",         kDefaults};

}  // namespace tern
