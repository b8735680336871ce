#include "plan/autodeploy/inference.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <tuple>

#include "core/error.h"
#include "core/limits.h"
#include "model/archs/arch.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"
#include "model/weights.h"
#include "plan/autodeploy/config_keys.h"
#include "plan/autodeploy/inferrer.h"
#include "plan/autodeploy/role_view.h"

namespace tern {

Inferrer::Inferrer(const Checkpoint& checkpoint, const ToldFacts& told)
    : original_(checkpoint), told_(told), gguf_(checkpoint.kind == CheckpointKind::kGguf) {
  for (const auto& [name, value] : told) {
    const bool known = std::any_of(std::begin(kTellable), std::end(kTellable),
                                   [&, n = std::string_view(name)](const auto& row) { return row.name == n; });
    if (!known) bad_input("[autodeploy] no fact is called \"" + printable(name) + "\"");
  }
}

const std::string* Inferrer::told(std::string_view name) {
  const auto at = told_.find(std::string(name));
  if (at == told_.end()) return nullptr;
  state(std::string(name), at->second, Certainty::kTold, "--assume");
  return &at->second;
}

const std::string* Inferrer::told(std::string_view name, std::initializer_list<std::string_view> choices) {
  const std::string* text = told(name);
  if (text == nullptr || std::find(choices.begin(), choices.end(), *text) != choices.end()) return text;
  std::string known;
  for (const std::string_view choice : choices) known += (known.empty() ? "" : " or ") + std::string(choice);
  bad_input(fmt::format("[autodeploy] {}={} is not {}", name, printable(*text), known));
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
  const bool eps = gguf_ ? metadata().has("inferred.attention.layer_norm_rms_epsilon") ||
                               metadata().has("inferred.attention.layer_norm_epsilon")
                         : metadata().has("rms_norm_eps") || metadata().has("layer_norm_eps") || has("norm_eps");
  if (!eps) doubt("norms: no epsilon is said (rms_norm_eps, layer_norm_eps), so they may be of any kind");
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
}

// Which products lie in one tensor, and how.
void Inferrer::read_layout() {
  const bool qkv = roles_.has(Role::kAttentionQkv), gate_up = roles_.has(Role::kFfnGateUp);
  c_.fused_projections = qkv && (gate_up || !c_.gated);
  if (c_.gated && qkv != gate_up) doubt("projections: only one of attention and feed-forward has them in one tensor");
  state("projections",
        qkv && gate_up ? "q, k, v in one tensor; gate, up in another"
        : qkv          ? "q, k, v in one tensor"
                       : "a tensor each",
        Certainty::kShown, pattern(qkv ? Role::kAttentionQkv : Role::kAttentionOut));
  if (roles_.transposed)
    state("matrices", "a column an output", Certainty::kShown, "shapes of those that are not square");
  if (!qkv) return;
  const std::string name = pattern(Role::kAttentionQkv);
  if (name.find("c_attn") == std::string::npos && name.find("query_key_value") == std::string::npos) return;
  if (told("qkv_rows", {"q_k_v"}) == nullptr)
    doubt("qkv_rows: " + name + " lies head by head in some models, and q, k and v one behind the other in others");
}

// Every weight that the program needs is there in its shape, and every tensor is one that it needs.
void Inferrer::check_weights() {
  try {
    validate(c_, metadata().source());
    const Program program = decoder(c_);
    WeightMap(*view_).check(program);
    std::set<std::tuple<Role, int32_t, bool>> used{{Role::kRopeFactors, -1, false}};
    if (c_.tied_embeddings) used.insert({Role::kOutput, -1, false});  // a copy of the embedding
    for (const Op& op : program.ops) {
      for (const WeightUse& use : op.weights) used.insert({use.role, use.layer, false});
      for (const WeightUse& use : op.biases) used.insert({use.role, use.layer, true});
    }
    for (const auto& [placed, tensor] : roles_.tensors) {
      if (!used.contains({placed.role, placed.layer, placed.bias}) ||
          placed.expert >= std::max<int64_t>(c_.route.experts, 0))
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
  if (roles_.transposed) understood.metadata.set(std::string(kInferredTransposed), {true});
  if (const TensorInfo* down = roles_.find(Role::kFfnDown, 0);
      !gguf_ && down != nullptr && !understood.metadata.has("intermediate_size"))
    understood.metadata.set("intermediate_size", {roles_.transposed ? down->rows() : down->cols()});
  view_ = under_roles(original_, std::move(understood.metadata), roles_, experts);
  out_.doubts = std::move(roles_.doubts);
  out_.doubts.insert(out_.doubts.end(), understood.doubts.begin(), understood.doubts.end());
  if (complete()) {
    read_sizes();
    read_feed_forward();
    read_layout();
    read_norm_kind();
    read_norms();
    read_norms_of_heads();
    read_biases();
    read_activation();
    read_mixture();
    read_multipliers();
    read_logit_scale();
    read_scale_of_norms_and_embeddings();
    read_windows();
    read_positions();
    if (out_.doubts.empty()) check_weights();
  }
  c_.architecture = "inferred";
  out_.checkpoint = view_;
  return std::move(out_);
}

Inference infer_model(const Checkpoint& checkpoint, const ToldFacts& told) { return Inferrer(checkpoint, told).run(); }

}  // namespace tern
