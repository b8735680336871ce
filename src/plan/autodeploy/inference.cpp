#include "plan/autodeploy/inference.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "core/error.h"
#include "core/limits.h"
#include "model/archs/arch.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"
#include "model/weights.h"
#include "plan/autodeploy/config_keys.h"
#include "plan/autodeploy/role_view.h"
#include "plan/autodeploy/rope_pairs.h"

namespace tern {
namespace {

class Inferrer {
 public:
  Inferrer(const Checkpoint& checkpoint, const ToldFacts& told)
      : original_(checkpoint), told_(told), gguf_(checkpoint.kind == CheckpointKind::kGguf) {
    for (const auto& [name, value] : told) {
      const bool known = std::any_of(std::begin(kTellable), std::end(kTellable),
                                     [&, n = std::string_view(name)](const auto& row) { return row.name == n; });
      if (!known) bad_input("[autodeploy] no fact is called \"" + printable(name) + "\"");
    }
  }

  Inference run();

 private:
  void state(std::string name, std::string value, Certainty certainty, std::string evidence) {
    out_.facts.push_back({std::move(name), std::move(value), std::move(evidence), certainty});
  }
  void doubt(std::string what) { out_.doubts.push_back(std::move(what)); }
  // What the user says of `name`, or null.
  const std::string* told(std::string_view name);
  double told_number(std::string_view name, const std::string& text) const;
  int64_t told_count(std::string_view name, const std::string& text) const;
  bool has(const char* hugging_face) const { return !gguf_ && metadata().has(hugging_face); }
  const Metadata& metadata() const { return view_->metadata; }
  std::string pattern(Role role) const { return roles_.pattern.at(role); }
  float factor(const char* name, const char* gguf, const char* hugging_face, float absent);

  bool complete();
  void read_sizes();
  void read_norms();
  void read_biases();
  void read_activation();
  void read_mixture();
  void read_multipliers();
  void read_scale_of_norms_and_embeddings();
  void read_windows();
  void read_rotations();
  void read_unrotated();
  void read_pairs();
  void check_weights();

  const Checkpoint& original_;
  const ToldFacts& told_;
  bool gguf_;
  TensorRoles roles_;
  std::shared_ptr<const Checkpoint> view_;
  Inference out_;
  ModelConfig& c_ = out_.config;
};

const std::string* Inferrer::told(std::string_view name) {
  const auto at = told_.find(std::string(name));
  if (at == told_.end()) return nullptr;
  state(std::string(name), at->second, Certainty::kTold, "--assume");
  return &at->second;
}

double Inferrer::told_number(std::string_view name, const std::string& text) const {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value) || value < 0)
    bad_input(fmt::format("[autodeploy] {}={} is not a number >= 0", name, printable(text)));
  return value;
}

int64_t Inferrer::told_count(std::string_view name, const std::string& text) const {
  const double value = told_number(name, text);
  if (value < 1 || value > static_cast<double>(Limits::kLayers) || value != std::floor(value))
    bad_input(fmt::format("[autodeploy] {}={} is not a number of layers", name, printable(text)));
  return static_cast<int64_t>(value);
}

// Whether there is enough to read the sizes at all.
bool Inferrer::complete() {
  for (const Role role : {Role::kTokenEmbedding, Role::kOutputNorm, Role::kAttentionOut}) {
    if (!roles_.has(role)) doubt(fmt::format("no tensor is {}", name_of(role)));
  }
  if (!gguf_ && !metadata().has("rms_norm_eps"))
    doubt("norms: without rms_norm_eps they may be of another kind than RMS norms");
  if (gguf_ && !metadata().has("inferred.attention.layer_norm_rms_epsilon"))
    doubt("norms: without attention.layer_norm_rms_epsilon they may be of another kind than RMS norms");
  for (const char* key :
       {"num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "max_position_embeddings"}) {
    if (!gguf_ && !metadata().has(key)) doubt(fmt::format("{} is not said", key));
  }
  return out_.doubts.empty();
}

void Inferrer::read_sizes() {
  c_ = decoder_config(*view_);
  c_.window = 0;
  const std::string_view kind = c_.kv_heads == c_.heads ? "MHA" : c_.kv_heads == 1 ? "MQA" : "GQA";
  state("layers", std::to_string(c_.layers), Certainty::kStated, gguf_ ? "block_count" : "num_hidden_layers");
  state("attention", fmt::format("{}, {} heads of {}, {} of keys", kind, c_.heads, c_.head_dim, c_.kv_heads),
        Certainty::kStated, "head counts and sizes, with which the tensors' shapes agree");
  if (c_.layers != roles_.layers)
    doubt(fmt::format("layers: metadata say {}, the tensors are of {}", c_.layers, roles_.layers));
  const bool output = roles_.has(Role::kOutput);
  const bool said = has("tie_word_embeddings");
  if (said && !c_.tied_embeddings && !output) doubt("tie_word_embeddings is false, but there is no output matrix");
  if (!said) c_.tied_embeddings = !output;
  state("tied embeddings", c_.tied_embeddings ? "yes" : "no", said ? Certainty::kStated : Certainty::kShown,
        said     ? "tie_word_embeddings"
        : output ? pattern(Role::kOutput)
                 : "no output matrix");
  const bool qkv = roles_.has(Role::kAttentionQkv), gate_up = roles_.has(Role::kFfnGateUp);
  c_.fused_projections = qkv && gate_up;
  if (qkv != gate_up) doubt("projections: only one of attention and feed-forward has them in one tensor");
  state("projections", qkv ? "q, k, v in one tensor; gate, up in another" : "a tensor each", Certainty::kShown,
        pattern(qkv ? Role::kAttentionQkv : Role::kAttentionOut));
}

void Inferrer::read_norms() {
  const bool before = roles_.has(Role::kAttentionNorm), before_ffn = roles_.has(Role::kFfnNorm);
  const bool behind = roles_.has(Role::kAttentionPostNorm), behind_ffn = roles_.has(Role::kFfnPostNorm);
  if (before != before_ffn || behind != behind_ffn || (!before && !behind))
    doubt("norms: where those of attention and of the feed-forward stand does not agree");
  c_.input_norms = before;
  c_.post_norms = behind;
  state("norms",
        before && behind ? "RMS, before and behind"
        : before         ? "RMS, before"
                         : "RMS, behind",
        Certainty::kShown,
        pattern(before   ? Role::kAttentionNorm
                : behind ? Role::kAttentionPostNorm
                         : Role::kOutputNorm));
  const TensorInfo* q = roles_.find(Role::kAttentionQNorm, 0);
  const TensorInfo* k = roles_.find(Role::kAttentionKNorm, 0);
  if ((q == nullptr) != (k == nullptr)) doubt("norms: q and k are not normed alike");
  if (q == nullptr || k == nullptr) return;
  const bool heads = q->elements() == c_.head_dim && k->elements() == c_.head_dim;
  const bool rows = q->elements() == c_.heads * c_.head_dim && k->elements() == c_.kv_heads * c_.head_dim;
  if (!heads && !rows) doubt("norms of q and k: they are neither as long as a head nor as all heads");
  c_.head_norms = heads;
  c_.row_norms = rows && !heads;
  state("norms of q and k", heads ? "of each head, before it rotates" : "of all heads, before they rotate",
        Certainty::kShown, fmt::format("{} has {} elements", pattern(Role::kAttentionQNorm), q->elements()));
}

void Inferrer::read_biases() {
  const int of_qkv = roles_.biased.contains(Role::kAttentionQ) + roles_.biased.contains(Role::kAttentionK) +
                     roles_.biased.contains(Role::kAttentionV);
  if (of_qkv % 3 != 0) doubt("biases: only some of q, k and v have one");
  if (of_qkv > 0 && c_.fused_projections) doubt("biases of projections in one tensor are not supported");
  c_.qkv_bias = of_qkv == 3;
  c_.output_bias = roles_.biased.contains(Role::kAttentionOut);
  if (has("attention_bias") && metadata().boolean("attention_bias") != (c_.qkv_bias || c_.output_bias))
    doubt("attention_bias does not agree with the tensors");
  state("biases",
        c_.qkv_bias      ? (c_.output_bias ? "q, k, v, output" : "q, k, v")
        : c_.output_bias ? "output"
                         : "none",
        Certainty::kShown, "tensors");
}

void Inferrer::read_activation() {
  const bool gated = roles_.has(Role::kFfnGateUp) || roles_.has(Role::kExpertGate) ||
                     (roles_.has(Role::kFfnGate) && roles_.has(Role::kFfnUp));
  if (!gated) doubt("feed-forward: no gate is found; one without is not supported");
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
        state("feed-forward", std::string(row.gated), Certainty::kStated,
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
  } else if (const std::string* text = told("expert_weights")) {
    if (*text != "sum_1" && *text != "softmax")
      bad_input("[autodeploy] expert_weights=" + printable(*text) + " is not sum_1 or softmax");
    c_.route.normalized = *text == "sum_1";
  } else if (gguf_) {
    doubt("expert_weights: nothing says whether those of a token's experts are made to sum to 1");
  } else {
    state("expert_weights", "sum_1", Certainty::kConvention, "nothing says otherwise");
  }
}

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
  c_.logit_scale = 1.0f / factor("logit divisor", "logit_scale", "logits_scaling", 1);
  c_.attention_scale = factor("score multiplier", "attention.scale", "attention_multiplier", 0);
  c_.attention_soft_cap = factor("soft cap of scores", "attn_logit_softcapping", "attn_logit_softcapping", 0);
  c_.logit_soft_cap = factor("soft cap of logits", "final_logit_softcapping", "final_logit_softcapping", 0);
  if (!has("query_pre_attn_scalar")) return;
  const auto scalar = static_cast<float>(metadata().number("query_pre_attn_scalar"));
  c_.attention_scale = 1.0f / std::sqrt(scalar);
  state("score multiplier", fmt::format("1 / sqrt({:g})", scalar), Certainty::kStated, "query_pre_attn_scalar");
}

// Models whose gate is GELU keep norms as their distance from 1 and scale embeddings, or do neither; only
// query_pre_attn_scalar tells the former apart.
void Inferrer::read_scale_of_norms_and_embeddings() {
  const bool from_one = has("query_pre_attn_scalar");
  const bool unclear = c_.activation != Activation::kSilu && !from_one;
  if (const std::string* text = told("norm_plus")) {
    c_.norm_plus = static_cast<float>(told_number("norm_plus", *text));
  } else if (unclear && !gguf_) {
    doubt("norm_plus: beside a GELU gate nothing says whether norms are kept as their distance from 1");
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
  } else if (unclear) {
    doubt("embedding_scale: beside a GELU gate nothing says whether embeddings are scaled");
  } else {
    if (from_one) c_.embedding_scale = root;
    state("embedding_scale", from_one ? "sqrt_hidden" : "1", Certainty::kConvention,
          from_one ? "beside query_pre_attn_scalar" : "nothing says otherwise");
  }
}

void Inferrer::read_windows() {
  const std::string key = gguf_ ? "inferred.attention.sliding_window" : "sliding_window";
  int64_t window = metadata().integer_or(key, 0, 0, static_cast<int64_t>(Limits::kContext));
  const bool switched_off = has("use_sliding_window") && !metadata().boolean("use_sliding_window");
  if (switched_off) window = 0;
  if (has("layer_types")) {
    c_.window = window;
    read_layer_types(*view_, c_);
    c_.window = 0;
    const bool any = std::any_of(c_.layer_attention.begin(), c_.layer_attention.end(),
                                 [](const LayerAttention& layer) { return layer.window > 0; });
    if (any) state("windows", std::to_string(window), Certainty::kStated, "layer_types, sliding_window");
    if (window == 0) {
      for (const std::string_view type : metadata().strings("layer_types"))
        if (type == "sliding_attention") return doubt("windows: layer_types has them, but their length is not said");
    }
    if (!any) c_.layer_attention.clear();
    return;
  }
  if (window == 0) return;
  const std::string* text = told("window_layers");
  if (text == nullptr)
    return doubt(fmt::format("window_layers: which layers have the window of {} is not said", window));
  if (*text == "none") return;
  if (*text == "all") {
    c_.window = window;
    return;
  }
  const int64_t period = told_count("window_layers", *text);
  for (int64_t layer = 0; layer < c_.layers; ++layer)
    c_.layer_attention.push_back({.window = layer % period != period - 1 ? window : 0, .rope = 0});
}

// Layers with a window, beside layers without, may rotate otherwise or be the only ones that do.
void Inferrer::read_rotations() {
  const bool stated = has("rope_theta") || has("rope_parameters.rope_theta") ||
                      has("rope_parameters.full_attention.rope_theta") || metadata().has("inferred.rope.freq_base");
  if (!stated) doubt("rotary positions: no base is said, so there may be none");
  constexpr std::string_view kScalings[] = {"", ", linear", ", llama3", ", yarn", ", longrope", ", by factors"};
  state("rope",
        fmt::format("base {:g}, {} of {} elements{}", c_.rope.theta, c_.rope.dims, c_.head_dim,
                    kScalings[static_cast<size_t>(c_.rope.scaling)]),
        stated ? Certainty::kStated : Certainty::kUnsure, gguf_ ? "rope.*" : "rope parameters");
  if (c_.layer_attention.empty()) return;
  const bool local_said = has("rope_parameters.sliding_attention.rope_theta") || has("rope_local_base_freq");
  const std::string* text = local_said ? nullptr : told("window_rope");
  if (!local_said && text == nullptr) {
    if (!has("query_pre_attn_scalar"))
      doubt("window_rope: nothing says whether layers with and without a window rotate alike");
    return;
  }
  if (text != nullptr && *text == "same") return;
  c_.local_rope = c_.rope;
  c_.local_rope.scaling = RopeScaling::kNone;
  if (local_said) {
    read_local_rope(metadata(), c_);
    state("window_rope", fmt::format("{:g}", c_.local_rope.theta), Certainty::kStated, "rope of sliding_attention");
  } else {
    c_.local_rope.theta = told_number("window_rope", *text);
  }
  for (LayerAttention& layer : c_.layer_attention) layer.rope = layer.window > 0 ? 1 : 0;
}

void Inferrer::read_unrotated() {
  std::vector<bool> unrotated;
  if (has("no_rope_layers")) {
    for (const int64_t rotates : metadata().integers("no_rope_layers")) unrotated.push_back(rotates == 0);
    if (static_cast<int64_t>(unrotated.size()) != c_.layers) return doubt("no_rope_layers is not one number a layer");
    state("unrotated_layers", "some", Certainty::kStated, "no_rope_layers");
  } else if (const std::string* text = told("unrotated_layers")) {
    if (*text == "none") return;
    const int64_t period = told_count("unrotated_layers", *text);
    for (int64_t layer = 0; layer < c_.layers; ++layer) unrotated.push_back(layer % period == period - 1);
  } else {
    if (gguf_) return doubt("unrotated_layers: GGUF files do not say whether all layers rotate");
    return state("unrotated_layers", "none", Certainty::kConvention, "nothing says otherwise");
  }
  if (c_.layer_attention.empty())
    c_.layer_attention.assign(static_cast<size_t>(c_.layers), LayerAttention{c_.window, 0});
  for (size_t i = 0; i < unrotated.size(); ++i)
    if (unrotated[i]) c_.layer_attention[i].rope = -1;
  c_.window = 0;
}

void Inferrer::read_pairs() {
  const RopePairsMeasure measure = measure_rope_pairs(roles_, c_.heads, c_.kv_heads, c_.head_dim, c_.rope.dims);
  const std::string numbers = fmt::format("rows of keys differ by {:.2f} as halves, {:.2f} interleaved, {:.2f} any",
                                          measure.halves, measure.interleaved, measure.any);
  const auto measured = measure.style();
  if (const std::string* text = told("rope_pairs")) {
    if (*text != "halves" && *text != "interleaved")
      bad_input("[autodeploy] rope_pairs=" + printable(*text) + " is not halves or interleaved");
    c_.rope.style = *text == "halves" ? RopeStyle::kHalves : RopeStyle::kInterleaved;
    if (measured && *measured != c_.rope.style) doubt("rope_pairs: told " + *text + ", but " + numbers);
  } else if (measured) {
    c_.rope.style = *measured;
    state("rope_pairs", *measured == RopeStyle::kHalves ? "halves" : "interleaved", Certainty::kMeasured, numbers);
  } else {
    doubt("rope_pairs: nothing says which elements of a head rotate together (" + numbers + ")");
  }
  c_.local_rope.style = c_.rope.style;
}

// Every weight that the program needs is there in its shape, and every tensor is one that it needs.
void Inferrer::check_weights() {
  try {
    validate(c_, metadata().source());
    const Program program = decoder(c_);
    WeightMap(*view_).check(program);
    std::set<std::pair<Role, int32_t>> used{{Role::kRopeFactors, -1}};
    if (c_.tied_embeddings) used.insert({Role::kOutput, -1});  // a copy of the embedding
    for (const Op& op : program.ops) {
      for (const WeightUse& use : op.weights) used.insert({use.role, use.layer});
      for (const WeightUse& use : op.biases) used.insert({use.role, use.layer});
    }
    for (const auto& [placed, tensor] : roles_.tensors) {
      if (!used.contains({placed.role, placed.layer}) || placed.expert >= std::max<int64_t>(c_.route.experts, 0))
        doubt(fmt::format("tensor {}: nothing that was inferred uses it", printable(tensor->name)));
    }
  } catch (const Error& error) {
    doubt(error.what());
  }
}

Inference Inferrer::run() {
  roles_ = find_roles(original_);
  UnderstoodMetadata understood = understand(original_);
  const char* key = gguf_ ? "inferred.expert_count" : nullptr;
  const int64_t experts = key == nullptr ? 0 : understood.metadata.integer_or(key, 0, 0, INT32_MAX);
  view_ = under_roles(original_, std::move(understood.metadata), roles_, experts);
  out_.doubts = std::move(roles_.doubts);
  out_.doubts.insert(out_.doubts.end(), understood.doubts.begin(), understood.doubts.end());
  if (complete()) {
    read_sizes();
    read_norms();
    read_biases();
    read_activation();
    read_mixture();
    read_multipliers();
    read_scale_of_norms_and_embeddings();
    read_windows();
    read_rotations();
    read_unrotated();
    read_pairs();
    if (out_.doubts.empty()) check_weights();
  }
  c_.architecture = "inferred";
  out_.checkpoint = view_;
  return std::move(out_);
}

}  // namespace

Inference infer_model(const Checkpoint& checkpoint, const ToldFacts& told) { return Inferrer(checkpoint, told).run(); }

}  // namespace tern
