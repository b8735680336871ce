#include "model/synthetic/gguf_facts.h"

#include <algorithm>
#include <cmath>

#include "model/rope_table.h"

namespace tern {
namespace {

void write_rope(GgufLayout& layout, const std::string& prefix, const RopeConfig& rope) {
  layout.integer(prefix + "rope.dimension_count", static_cast<uint64_t>(rope.dims));
  layout.number(prefix + "rope.freq_base", rope.theta);
  if (rope.scaling == RopeScaling::kLong) {  // its factors are tensors
    layout.integer(prefix + "rope.scaling.original_context_length", static_cast<uint64_t>(rope.original_context));
    layout.number(prefix + "rope.scaling.attn_factor", rope.attention_factor);
  }
  if (rope.scaling != RopeScaling::kLinear && rope.scaling != RopeScaling::kYarn) return;
  const bool yarn = rope.scaling == RopeScaling::kYarn;
  layout.string(prefix + "rope.scaling.type", yarn ? "yarn" : "linear");
  layout.number(prefix + "rope.scaling.factor", rope.factor);
  layout.integer(prefix + "rope.scaling.original_context_length", static_cast<uint64_t>(rope.original_context));
  if (!yarn) return;
  layout.number(prefix + "rope.scaling.yarn_beta_fast", rope.beta_fast);
  layout.number(prefix + "rope.scaling.yarn_beta_slow", rope.beta_slow);
  // Readers multiply it with yarn's own 0.1 ln(factor) + 1.
  const double own = rope.factor > 1.0 ? 0.1 * std::log(rope.factor) + 1.0 : 1.0;
  layout.number(prefix + "rope.scaling.attn_factor", rope.attention_factor / own);
}

}  // namespace

void write_facts(GgufLayout& layout, std::string_view arch, const ModelConfig& config) {
  const std::string prefix = std::string(arch) + ".";
  const auto size = [&](const char* key, int64_t value) { layout.integer(prefix + key, static_cast<uint64_t>(value)); };
  size("vocab_size", config.vocabulary);
  size("context_length", config.context);
  size("embedding_length", config.hidden);
  size("block_count", config.layers);
  size("feed_forward_length", config.ffn);
  size("attention.head_count", config.heads);
  size("attention.head_count_kv", config.kv_heads);
  size("attention.key_length", config.head_dim);
  size("attention.value_length", config.head_dim);
  layout.number(prefix + "attention.layer_norm_rms_epsilon", static_cast<double>(config.norm_eps));
  int64_t window = config.window;
  for (const LayerAttention& layer : config.layer_attention) window = std::max(window, layer.window);
  if (window > 0) size("attention.sliding_window", window);
  const auto cap = [&](const char* key, float value) {
    if (value > 0) layout.number(prefix + key, static_cast<double>(value));
  };
  cap("attn_logit_softcapping", config.attention_soft_cap);
  cap("final_logit_softcapping", config.logit_soft_cap);
  if (config.route.experts > 0) {
    size("expert_count", config.route.experts);
    size("expert_used_count", config.route.used);
    size("expert_feed_forward_length", config.expert_ffn);
  }
  write_rope(layout, prefix, config.rope);
}

std::vector<float> rope_divisors(const RopeConfig& rope) {
  RopeConfig plain = rope;
  plain.scaling = RopeScaling::kNone;
  const std::vector<float> scaled = rope_frequencies(rope, {});
  std::vector<float> out = rope_frequencies(plain, {});
  for (size_t i = 0; i < out.size(); ++i) out[i] /= scaled[i];
  return out;
}

}  // namespace tern
