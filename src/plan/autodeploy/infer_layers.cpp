// What stands in a layer: norms, biases, feed-forwards, experts.
#include <fmt/core.h>

#include <algorithm>

#include "core/error.h"
#include "model/archs/keys.h"
#include "plan/autodeploy/inferrer.h"

namespace tern {

namespace {

constexpr Role kNorms[] = {Role::kAttentionNorm, Role::kAttentionPostNorm, Role::kFfnNorm, Role::kFfnPostNorm,
                           Role::kOutputNorm};

}  // namespace

// A bias shows a layer norm. Without one the epsilon's name shows an RMS norm, but not a layer norm: some models give
// RMS norms a layer_norm_epsilon. GGUF files hold the one that the computation needs.
void Inferrer::read_norm_kind() {
  const bool rms = metadata().has(gguf_ ? "inferred.attention.layer_norm_rms_epsilon" : "rms_norm_eps");
  const char* key = gguf_ ? "inferred.attention.layer_norm_epsilon" : "layer_norm_eps";
  const bool layer = metadata().has(key);
  const auto biased = [&](Role role) { return !roles_.has(role) || roles_.biased.contains(role); };
  const bool all = std::all_of(std::begin(kNorms), std::end(kNorms), biased);
  const bool any =
      std::any_of(std::begin(kNorms), std::end(kNorms), [&](Role role) { return roles_.biased.contains(role); });
  if (any && !all) doubt("norms: only some have a bias");
  const std::string* text = told("norms", {"rms", "layer"});
  if (text != nullptr && *text == "rms" && any) doubt("norms: told rms, but they have biases");
  c_.norm_bias = all;
  c_.layer_norms = text != nullptr ? *text == "layer" : all || (gguf_ && layer && !rms);
  if (text == nullptr && !c_.layer_norms && (layer || !rms))
    doubt("norms: without biases, and without rms_norm_eps alone, nothing says whether they take away the mean");
  if (c_.layer_norms && layer) c_.norm_eps = static_cast<float>(metadata().number(key));
  if (text != nullptr) return;
  state("kind of norms", c_.layer_norms ? "layer norms" : "RMS norms", all ? Certainty::kShown : Certainty::kStated,
        all ? "biases of norms" : "the epsilon's name");
}

void Inferrer::read_norms() {
  const bool before = roles_.has(Role::kAttentionNorm), before_ffn = roles_.has(Role::kFfnNorm);
  const bool behind = roles_.has(Role::kAttentionPostNorm), behind_ffn = roles_.has(Role::kFfnPostNorm);
  c_.parallel_blocks = before && !before_ffn && !behind && !behind_ffn;
  if (!c_.parallel_blocks && (before != before_ffn || behind != behind_ffn || (!before && !behind)))
    doubt("norms: where those of attention and of the feed-forward stand does not agree");
  c_.input_norms = before;
  c_.post_norms = behind;
  state("norms",
        c_.parallel_blocks ? "one before both attention and feed-forward"
        : before && behind ? "before and behind"
        : before           ? "before"
                           : "behind",
        Certainty::kShown,
        pattern(before   ? Role::kAttentionNorm
                : behind ? Role::kAttentionPostNorm
                         : Role::kOutputNorm));
}

void Inferrer::read_norms_of_heads() {
  const TensorInfo* q = roles_.find(Role::kAttentionQNorm, 0);
  const TensorInfo* k = roles_.find(Role::kAttentionKNorm, 0);
  if ((q == nullptr) != (k == nullptr)) doubt("norms: q and k are not normed alike");
  if (q == nullptr || k == nullptr) return;
  if (c_.layer_norms) doubt("norms of q and k beside layer norms are not supported");
  const bool heads = q->elements() == c_.head_dim && k->elements() == c_.head_dim;
  const bool rows = q->elements() == c_.heads * c_.head_dim && k->elements() == c_.kv_heads * c_.head_dim;
  if (!heads && !rows) doubt("norms of q and k: they are neither as long as a head nor as all heads");
  c_.head_norms = heads;
  c_.row_norms = rows && !heads;
  state("norms of q and k", heads ? "of each head, before it rotates" : "of all heads, before they rotate",
        Certainty::kShown, fmt::format("{} has {} elements", pattern(Role::kAttentionQNorm), q->elements()));
}

// A key that says whether there are biases.
void Inferrer::agree(const char* key, bool tensors) {
  if (has(key) && metadata().boolean(key) != tensors) doubt(std::string(key) + " does not agree with the tensors");
}

void Inferrer::read_biases() {
  const auto count = [&](std::initializer_list<Role> roles) {
    return std::count_if(roles.begin(), roles.end(), [&](Role role) { return roles_.biased.contains(role); });
  };
  const auto of_qkv = count({Role::kAttentionQ, Role::kAttentionK, Role::kAttentionV});
  if (of_qkv % 3 != 0) doubt("biases: only some of q, k and v have one");
  c_.qkv_bias = of_qkv == 3 || count({Role::kAttentionQkv}) == 1;
  c_.output_bias = count({Role::kAttentionOut}) == 1;
  const auto of_ffn = count({Role::kFfnGate, Role::kFfnUp, Role::kFfnDown});
  if (of_ffn != 0 && of_ffn != (c_.gated ? 3 : 2)) doubt("biases: only some of the feed-forward's products have one");
  c_.ffn_bias = of_ffn != 0;
  if (count({Role::kFfnGateUp, Role::kRouter, Role::kExpertGate, Role::kExpertUp, Role::kExpertDown}) > 0)
    doubt("biases of gate and up in one tensor, of routers and of experts are not inferred");
  agree("attention_bias", c_.qkv_bias || c_.output_bias);
  agree("mlp_bias", c_.ffn_bias);
  agree("use_bias", c_.qkv_bias && c_.output_bias && c_.ffn_bias);
  std::string text = c_.qkv_bias ? "q, k, v" : "";
  if (c_.output_bias) text += text.empty() ? "output" : ", output";
  if (c_.ffn_bias) text += text.empty() ? "feed-forward" : ", feed-forward";
  state("biases", text.empty() ? "none" : text, Certainty::kShown, "tensors");
}

void Inferrer::read_feed_forward() {
  const bool gate = roles_.has(Role::kFfnGateUp) || roles_.has(Role::kExpertGate) || roles_.has(Role::kFfnGate);
  const bool up = roles_.has(Role::kFfnUp) && roles_.has(Role::kFfnDown);
  c_.gated = gate;
  if (gate) return;
  if (!up) return doubt("feed-forward: no tensors of one are found");
  state("gate", "none", Certainty::kShown, pattern(Role::kFfnUp));
}

void Inferrer::read_activation() {
  struct Row {
    std::string_view name, gated;
    Activation activation;
  };
  constexpr Row kRows[] = {{"silu", "SwiGLU", Activation::kSilu},
                           {"gelu", "GeGLU", Activation::kGelu},
                           {"gelu_tanh", "GeGLU (tanh)", Activation::kGeluTanh}};
  if (has("hidden_act") || has("hidden_activation")) {
    for (const Row& row : kRows) {
      if (row.activation == c_.activation)
        state("feed-forward", std::string(c_.gated ? row.gated : row.name), Certainty::kStated,
              has("hidden_activation") ? "hidden_activation" : "hidden_act");
    }
    return;
  }
  const std::string* text = told("activation");
  if (text == nullptr) return doubt("activation: nothing says it");
  const auto* row = std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& r) { return r.name == *text; });
  if (row == std::end(kRows)) bad_input("[autodeploy] activation=" + printable(*text) + " is not known");
  c_.activation = row->activation;
}

void Inferrer::read_mixture() {
  read_experts(*view_, c_);
  const bool tensors = roles_.has(Role::kRouter) || roles_.has(Role::kExpertGate);
  if (tensors != (c_.route.experts > 0)) return doubt("experts: metadata and tensors do not agree");
  if (!tensors) return;
  if (roles_.has(Role::kFfnGate) || roles_.has(Role::kFfnUp) || roles_.has(Role::kFfnDown))
    doubt("experts: some feed-forwards have none");
  state("experts", fmt::format("{} of {}, of {}", c_.route.used, c_.route.experts, c_.expert_ffn), Certainty::kStated,
        "metadata, " + pattern(Role::kRouter));
  if (has("norm_topk_prob")) {
    c_.route.normalized = metadata().boolean("norm_topk_prob");
    state("expert_weights", c_.route.normalized ? "sum_1" : "softmax", Certainty::kStated, "norm_topk_prob");
  } else if (const std::string* text = told("expert_weights", {"sum_1", "softmax"})) {
    c_.route.normalized = *text == "sum_1";
  } else if (gguf_) {
    doubt("expert_weights: nothing says whether those of a token's experts are made to sum to 1");
  } else {
    state("expert_weights", "sum_1", Certainty::kConvention, "nothing says otherwise");
  }
}

}  // namespace tern
