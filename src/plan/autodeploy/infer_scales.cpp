// What numbers are multiplied by on their way.
#include <fmt/core.h>

#include <cmath>

#include "core/error.h"
#include "plan/autodeploy/inferrer.h"

namespace tern {

float Inferrer::factor(const char* name, const char* gguf, const char* hugging_face, float absent) {
  const std::string key = gguf_ ? std::string("inferred.") + gguf : hugging_face;
  if (!metadata().has(key)) return absent;
  const auto value = static_cast<float>(metadata().number(key));
  state(name, fmt::format("{:g}", value), Certainty::kStated, gguf_ ? gguf : hugging_face);
  return value;
}

void Inferrer::read_multipliers() {
  c_.embedding_scale = factor("embedding multiplier", "embedding_scale", "embedding_multiplier", 1);
  c_.residual_scale = factor("residual multiplier", "residual_scale", "residual_multiplier", 1);
  c_.attention_scale = factor("score multiplier", "attention.scale", "attention_multiplier", 0);
  c_.attention_soft_cap = factor("soft cap of scores", "attn_logit_softcapping", "attn_logit_softcapping", 0);
  c_.logit_soft_cap = factor("soft cap of logits", "final_logit_softcapping", "final_logit_softcapping", 0);
  if (c_.parallel_blocks && c_.residual_scale != 1)
    doubt("a residual multiplier where attention and feed-forward read the same norm is not supported");
  if (!has("query_pre_attn_scalar")) return;
  const auto scalar = static_cast<float>(metadata().number("query_pre_attn_scalar"));
  c_.attention_scale = 1.0f / std::sqrt(scalar);
  state("score multiplier", fmt::format("1 / sqrt({:g})", scalar), Certainty::kStated, "query_pre_attn_scalar");
}

// config.json names what logits are divided by and what they are multiplied with differently, GGUF files do not.
void Inferrer::read_logit_scale() {
  if (!gguf_) {
    const float times = factor("logit multiplier", "", "logit_scale", 1);
    const float by = factor("logit divisor", "", "logits_scaling", 1);
    c_.logit_scale = has("logits_scaling") ? 1.0f / by : times;
    if (has("logits_scaling") && has("logit_scale")) doubt("logits have both a multiplier and a divisor");
    return;
  }
  if (!metadata().has("inferred.logit_scale")) return;
  const std::string* text = told("logit_scale", {"multiplies", "divides"});
  if (text == nullptr) return doubt("logit_scale: nothing says whether it multiplies or divides logits");
  const auto value = static_cast<float>(metadata().number("inferred.logit_scale"));
  c_.logit_scale = *text == "divides" ? 1.0f / value : value;
}

// Models of RMS norms whose gate is GELU keep norms as their distance from 1 and scale embeddings, or do neither; only
// query_pre_attn_scalar tells the former apart. Layer norms are whole and embeddings as they are, but a norm_eps is
// also that of layer norms kept as their distance from 1.
void Inferrer::read_scale_of_norms_and_embeddings() {
  const bool from_one = has("query_pre_attn_scalar");
  const bool named = gguf_ || has("layer_norm_eps") || has("rms_norm_eps");
  const bool unclear = c_.layer_norms ? !named : c_.activation != Activation::kSilu && !from_one;
  if (const std::string* text = told("norm_plus")) {
    c_.norm_plus = static_cast<float>(told_number("norm_plus", *text));
  } else if (unclear && !gguf_) {
    doubt(c_.layer_norms
              ? "norm_plus: beside norm_eps nothing says whether norms are kept as their distance from 1"
              : "norm_plus: beside a GELU gate nothing says whether norms are kept as their distance from 1");
  } else {
    c_.norm_plus = from_one ? 1 : 0;
    state("norm_plus", from_one ? "1" : "0", Certainty::kConvention,
          gguf_      ? "GGUF files hold whole norms"
          : from_one ? "beside query_pre_attn_scalar"
                     : "nothing says otherwise");
  }
  if (metadata().has(gguf_ ? "inferred.embedding_scale" : "embedding_multiplier")) return;
  const auto root = std::sqrt(static_cast<float>(c_.hidden));
  if (const std::string* text = told("embedding_scale")) {
    c_.embedding_scale = *text == "sqrt_hidden" ? root : static_cast<float>(told_number("embedding_scale", *text));
  } else if (unclear && !c_.layer_norms) {
    doubt("embedding_scale: beside a GELU gate nothing says whether embeddings are scaled");
  } else {
    if (from_one) c_.embedding_scale = root;
    state("embedding_scale", from_one ? "sqrt_hidden" : "1", Certainty::kConvention,
          from_one ? "beside query_pre_attn_scalar" : "nothing says otherwise");
  }
}

}  // namespace tern
