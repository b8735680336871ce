#include "model/synthetic/differing_facts.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

namespace tern {
namespace {

// GGUF files hold numbers as f32.
constexpr double kTolerance = 1e-6;

class Comparison {
 public:
  void number(const char* name, double wanted, double read) {
    if (std::abs(wanted - read) > kTolerance * std::max(std::abs(wanted), std::abs(read)))
      lines_.push_back(fmt::format("{} {:g} (read back: {:g})", name, wanted, read));
  }
  void size(const char* name, int64_t wanted, int64_t read) {
    if (wanted != read) lines_.push_back(fmt::format("{} {} (read back: {})", name, wanted, read));
  }
  void flag(const char* name, bool wanted, bool read) {
    if (wanted != read) lines_.push_back(fmt::format("{} {}", wanted ? "has" : "has no", name));
  }
  void kind_of_attention(int64_t layer) {
    lines_.push_back(fmt::format("windows and rotations of layers, from layer {} on", layer));
  }
  std::vector<std::string> lines() { return std::move(lines_); }

 private:
  std::vector<std::string> lines_;
};

double scale_of_scores(const ModelConfig& c) {
  return c.attention_scale > 0 ? c.attention_scale : 1 / std::sqrt(static_cast<double>(c.head_dim));
}

void compare_sizes(Comparison& is, const ModelConfig& a, const ModelConfig& b) {
  is.size("layers", a.layers, b.layers);
  is.size("hidden size", a.hidden, b.hidden);
  is.size("heads", a.heads, b.heads);
  is.size("KV heads", a.kv_heads, b.kv_heads);
  is.size("head size", a.head_dim, b.head_dim);
  is.size("feed-forward size", a.ffn, b.ffn);
  is.size("vocabulary", a.vocabulary, b.vocabulary);
  is.size("context", a.context, b.context);
  is.size("latent rank", a.latent.rank, b.latent.rank);
  is.size("latent rank of queries", a.latent.query_rank, b.latent.query_rank);
  is.size("plain elements of a head", a.latent.plain, b.latent.plain);
  is.size("values of a head", a.latent.value, b.latent.value);
  is.size("length of convolutions", a.conv_length, b.conv_length);
}

void compare_mixture(Comparison& is, const ModelConfig& a, const ModelConfig& b) {
  is.size("experts", a.route.experts, b.route.experts);
  if (a.route.experts == 0 && b.route.experts == 0) return;
  is.size("experts of a token", a.route.used, b.route.used);
  is.size("groups of experts", a.route.groups, b.route.groups);
  is.size("groups of a token", a.route.groups_used, b.route.groups_used);
  is.size("feed-forward size of experts", a.expert_ffn, b.expert_ffn);
  is.size("feed-forward size of shared experts", a.shared_ffn, b.shared_ffn);
  is.size("dense layers", a.dense_layers, b.dense_layers);
  is.size("step of layers with experts", a.mixture_step, b.mixture_step);
  is.number("scale of experts", a.route.scale, b.route.scale);
  is.flag("weights of experts that sum to 1", a.route.normalized, b.route.normalized);
  is.flag("weights of experts by sigmoids", a.route.sigmoid, b.route.sigmoid);
  is.flag("a bias of the choice of experts", a.choice_bias, b.choice_bias);
}

void compare_blocks(Comparison& is, const ModelConfig& a, const ModelConfig& b) {
  is.size("activation", static_cast<int64_t>(a.activation), static_cast<int64_t>(b.activation));
  is.flag("a head of its own", !a.tied_embeddings, !b.tied_embeddings);
  is.flag("biases of q, k and v", a.qkv_bias, b.qkv_bias);
  is.flag("a bias of attention's output", a.output_bias, b.output_bias);
  is.flag("biases of the feed-forward", a.ffn_bias, b.ffn_bias);
  is.flag("layer norms", a.layer_norms, b.layer_norms);
  is.flag("biases of norms", a.norm_bias, b.norm_bias);
  is.flag("gates", a.gated, b.gated);
  is.flag("parallel blocks", a.parallel_blocks, b.parallel_blocks);
  is.flag("a table of positions", a.learned_positions, b.learned_positions);
  is.flag("norms of heads", a.head_norms || a.unit_head_norms, b.head_norms || b.unit_head_norms);
  is.flag("norms of rows", a.row_norms, b.row_norms);
  is.flag("norms behind", a.post_norms, b.post_norms);
  is.flag("attention sinks", a.attention_sinks, b.attention_sinks);
  is.flag("products in one tensor", a.fused_projections, b.fused_projections);
}

void compare_scales(Comparison& is, const ModelConfig& a, const ModelConfig& b) {
  is.number("norm epsilon", a.norm_eps, b.norm_eps);
  is.number("embedding scale", a.embedding_scale, b.embedding_scale);
  is.number("residual scale", a.residual_scale, b.residual_scale);
  is.number("logit scale", a.logit_scale, b.logit_scale);
  is.number("scale of scores", scale_of_scores(a), scale_of_scores(b));
  is.number("soft cap of scores", a.attention_soft_cap, b.attention_soft_cap);
  is.number("soft cap of logits", a.logit_soft_cap, b.logit_soft_cap);
  is.number("scale of queries", a.query_scale, b.query_scale);
  is.size("length of the scale of queries", a.query_scale_length, b.query_scale_length);
}

void compare_attention(Comparison& is, const ModelConfig& a, const ModelConfig& b) {
  is.number("rope base", a.rope.theta, b.rope.theta);
  is.size("rotated elements", a.rope.dims, b.rope.dims);
  if (a.rope.scaling == RopeScaling::kLinear || a.rope.scaling == RopeScaling::kYarn)
    is.number("rope factor", a.rope.factor, b.rope.factor);
  is.number("rope magnitude", a.rope.attention_factor, b.rope.attention_factor);
  for (int64_t layer = 0; layer < std::min(a.layers, b.layers); ++layer) {
    const LayerAttention of_a = a.attention_of(layer), of_b = b.attention_of(layer);
    if (of_a.window == of_b.window && of_a.rope == of_b.rope && of_a.conv == of_b.conv && of_a.chunked == of_b.chunked)
      continue;
    return is.kind_of_attention(layer);
  }
  if (a.local_rope.dims > 0) is.number("rope base of windows", a.local_rope.theta, b.local_rope.theta);
}

}  // namespace

std::vector<std::string> differing_facts(const ModelConfig& wanted, const ModelConfig& read) {
  Comparison is;
  compare_sizes(is, wanted, read);
  compare_mixture(is, wanted, read);
  compare_blocks(is, wanted, read);
  compare_scales(is, wanted, read);
  compare_attention(is, wanted, read);
  return is.lines();
}

}  // namespace tern
