#include "model/config.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/limits.h"

namespace tern {
namespace {

void require(bool holds, const std::string& source, const std::string& what) {
  if (!holds) bad_input(source + ": " + what);
}

void in_range(int64_t value, uint64_t max, const std::string& source, const char* name) {
  require(value >= 1 && static_cast<uint64_t>(value) <= max, source,
          std::string(name) + " " + std::to_string(value) + " is not in 1.." + std::to_string(max));
}

}  // namespace

void validate(const ModelConfig& c, const std::string& source) {
  in_range(c.layers, Limits::kLayers, source, "layer count");
  in_range(c.hidden, Limits::kModelDim, source, "hidden size");
  in_range(c.ffn, Limits::kModelDim, source, "feed-forward size");
  in_range(c.heads, 4096, source, "head count");
  in_range(c.kv_heads, 4096, source, "KV head count");
  in_range(c.head_dim, 1024, source, "head size");
  in_range(c.vocabulary, Limits::kVocabulary, source, "vocabulary size");
  in_range(c.context, Limits::kContext, source, "context length");
  require(c.heads % c.kv_heads == 0, source,
          std::to_string(c.heads) + " heads are not a multiple of " + std::to_string(c.kv_heads) + " KV heads");
  require(c.rope.dims >= 2 && c.rope.dims % 2 == 0 && c.rope.dims <= c.head_dim, source,
          "rope dimension " + std::to_string(c.rope.dims) + " does not fit head size " + std::to_string(c.head_dim));
  require(std::isfinite(c.norm_eps) && c.norm_eps >= 0, source, "norm epsilon is not a finite number >= 0");
  require(std::isfinite(c.rope.theta) && c.rope.theta > 0, source, "rope base is not a finite number > 0");
  require(std::isfinite(c.rope.factor) && c.rope.factor > 0, source, "rope scaling factor is not a finite number > 0");
  const auto finite_positive = [&](float value, const char* name) {
    require(std::isfinite(value) && value > 0, source, std::string(name) + " is not a finite number > 0");
  };
  finite_positive(c.embedding_scale, "embedding scale");
  finite_positive(c.residual_scale, "residual scale");
  finite_positive(c.logit_scale, "logit scale");
  require(std::isfinite(c.attention_scale) && c.attention_scale >= 0, source,
          "attention scale is not a finite number >= 0");
  require(std::isfinite(c.attention_soft_cap) && c.attention_soft_cap >= 0 && std::isfinite(c.logit_soft_cap) &&
              c.logit_soft_cap >= 0,
          source, "a soft cap is not a finite number >= 0");
  require(c.layer_attention.empty() || c.layer_attention.size() == static_cast<size_t>(c.layers), source,
          std::to_string(c.layer_attention.size()) + " kinds of attention for " + std::to_string(c.layers) + " layers");
  for (const LayerAttention& layer : c.layer_attention) {
    require(layer.window >= (layer.chunked ? 1 : 0) && layer.rope >= -1 && layer.rope <= 1, source,
            "a layer's attention is out of range");
  }
  if (c.route.experts > 0) {
    in_range(c.route.experts, kMaxExperts, source, "expert count");
    in_range(c.route.used, static_cast<uint64_t>(c.route.experts), source, "experts of a token");
    in_range(c.expert_ffn, Limits::kModelDim, source, "experts' feed-forward size");
    in_range(c.route.groups, static_cast<uint64_t>(c.route.experts), source, "groups of experts");
    in_range(c.route.groups_used, static_cast<uint64_t>(c.route.groups), source, "groups of a token");
    require(
        c.route.experts % c.route.groups == 0 && c.route.used <= c.route.experts / c.route.groups * c.route.groups_used,
        source, "experts do not fit their groups");
    require(std::isfinite(c.route.scale) && c.route.scale > 0, source, "scale of experts is not a finite number > 0");
    require(c.shared_ffn >= 0 && static_cast<uint64_t>(c.shared_ffn) <= Limits::kModelDim, source,
            "shared experts' feed-forward size is out of range");
  }
  if (std::any_of(c.layer_attention.begin(), c.layer_attention.end(), [](const auto& layer) { return layer.conv; })) {
    require(c.conv_length >= 2 && c.conv_length <= kMaxShortConv, source, "length of convolutions is out of range");
  }
  if (std::any_of(c.layer_attention.begin(), c.layer_attention.end(), [](const auto& layer) { return layer.delta; })) {
    in_range(c.delta.key_heads, 4096, source, "key head count");
    in_range(c.delta.value_heads, 4096, source, "value head count");
    in_range(c.delta.key_dim, kMaxDeltaDim, source, "key head size");
    in_range(c.delta.value_dim, kMaxDeltaDim, source, "value head size");
    require(c.delta.value_heads % c.delta.key_heads == 0, source, "value heads are not a multiple of key heads");
    require(c.delta.conv_length >= 2 && c.delta.conv_length <= kMaxShortConv, source,
            "length of convolutions is out of range");
  }
  if (c.latent.rank > 0) {
    in_range(c.latent.plain, 1024, source, "unrotated size of a query");
    in_range(c.latent.value, 1024, source, "value size");
    require(c.latent.query_rank >= 0 && static_cast<uint64_t>(c.latent.query_rank) <= Limits::kModelDim, source,
            "rank of queries is out of range");
  }
  require(c.window >= 0, source, "attention window is negative");
  require(std::isfinite(c.query_scale) && c.query_scale >= 0 && c.query_scale_length >= 0, source,
          "growth of queries is out of range");
}

}  // namespace tern
