#include "plan/autodeploy/tensor_roles.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "core/error.h"
#include "plan/autodeploy/foreign_blocks.h"

namespace tern {
namespace {

// Where in a layer, or outside of all, a name stands.
enum class Where : uint8_t { kModel, kAttention, kFeedForward, kAnywhere };

struct Word {
  std::string_view word;  // the last part of a name, before .weight or .bias
  Where where;
  Role role;
};

// Words that mean one thing wherever they are used. The rows of some (query_key_value, c_attn) lie in several orders in
// practice, which the inference asks for.
constexpr Word kWords[] = {
    {"embed_tokens", Where::kModel, Role::kTokenEmbedding},
    {"tok_embeddings", Where::kModel, Role::kTokenEmbedding},
    {"token_embd", Where::kModel, Role::kTokenEmbedding},
    {"word_embeddings", Where::kModel, Role::kTokenEmbedding},
    {"wte", Where::kModel, Role::kTokenEmbedding},
    {"wpe", Where::kModel, Role::kPositions},
    {"position_embd", Where::kModel, Role::kPositions},
    {"position_embeddings", Where::kModel, Role::kPositions},
    {"norm", Where::kModel, Role::kOutputNorm},
    {"final_norm", Where::kModel, Role::kOutputNorm},
    {"norm_f", Where::kModel, Role::kOutputNorm},
    {"ln_f", Where::kModel, Role::kOutputNorm},
    {"output_norm", Where::kModel, Role::kOutputNorm},
    {"lm_head", Where::kModel, Role::kOutput},
    {"output", Where::kModel, Role::kOutput},
    {"rope_freqs", Where::kModel, Role::kRopeFactors},
    {"input_layernorm", Where::kAnywhere, Role::kAttentionNorm},
    {"attn_norm", Where::kAnywhere, Role::kAttentionNorm},
    {"attention_norm", Where::kAnywhere, Role::kAttentionNorm},
    {"pre_attention_norm", Where::kAnywhere, Role::kAttentionNorm},
    {"ln_1", Where::kAnywhere, Role::kAttentionNorm},
    {"q_proj", Where::kAttention, Role::kAttentionQ},
    {"k_proj", Where::kAttention, Role::kAttentionK},
    {"v_proj", Where::kAttention, Role::kAttentionV},
    {"wq", Where::kAttention, Role::kAttentionQ},
    {"wk", Where::kAttention, Role::kAttentionK},
    {"wv", Where::kAttention, Role::kAttentionV},
    {"query", Where::kAttention, Role::kAttentionQ},
    {"key", Where::kAttention, Role::kAttentionK},
    {"value", Where::kAttention, Role::kAttentionV},
    {"attn_q", Where::kAnywhere, Role::kAttentionQ},
    {"attn_k", Where::kAnywhere, Role::kAttentionK},
    {"attn_v", Where::kAnywhere, Role::kAttentionV},
    {"c_attn", Where::kAttention, Role::kAttentionQkv},
    {"query_key_value", Where::kAttention, Role::kAttentionQkv},
    {"qkv_proj", Where::kAttention, Role::kAttentionQkv},
    {"attn_qkv", Where::kAnywhere, Role::kAttentionQkv},
    {"o_proj", Where::kAttention, Role::kAttentionOut},
    {"out_proj", Where::kAttention, Role::kAttentionOut},
    {"c_proj", Where::kAttention, Role::kAttentionOut},
    {"dense", Where::kAttention, Role::kAttentionOut},
    {"wo", Where::kAttention, Role::kAttentionOut},
    {"attn_output", Where::kAnywhere, Role::kAttentionOut},
    {"q_norm", Where::kAttention, Role::kAttentionQNorm},
    {"k_norm", Where::kAttention, Role::kAttentionKNorm},
    {"attn_q_norm", Where::kAnywhere, Role::kAttentionQNorm},
    {"attn_k_norm", Where::kAnywhere, Role::kAttentionKNorm},
    {"post_attention_norm", Where::kAnywhere, Role::kAttentionPostNorm},
    {"post_attention_layernorm", Where::kAnywhere, Role::kAttentionPostNorm},  // or in front of the feed-forward
    {"pre_feedforward_layernorm", Where::kAnywhere, Role::kFfnNorm},
    {"pre_mlp_norm", Where::kAnywhere, Role::kFfnNorm},
    {"ffn_norm", Where::kAnywhere, Role::kFfnNorm},
    {"mlp_norm", Where::kAnywhere, Role::kFfnNorm},
    {"ln_2", Where::kAnywhere, Role::kFfnNorm},
    {"post_feedforward_layernorm", Where::kAnywhere, Role::kFfnPostNorm},
    {"post_ffw_norm", Where::kAnywhere, Role::kFfnPostNorm},
    {"gate_proj", Where::kFeedForward, Role::kFfnGate},
    {"up_proj", Where::kFeedForward, Role::kFfnUp},
    {"down_proj", Where::kFeedForward, Role::kFfnDown},
    {"c_fc", Where::kFeedForward, Role::kFfnUp},
    {"c_proj", Where::kFeedForward, Role::kFfnDown},
    {"fc1", Where::kFeedForward, Role::kFfnUp},
    {"fc2", Where::kFeedForward, Role::kFfnDown},
    {"dense_h_to_4h", Where::kFeedForward, Role::kFfnUp},
    {"dense_4h_to_h", Where::kFeedForward, Role::kFfnDown},
    {"w1", Where::kFeedForward, Role::kFfnGate},
    {"w2", Where::kFeedForward, Role::kFfnDown},
    {"w3", Where::kFeedForward, Role::kFfnUp},
    {"ffn_gate", Where::kAnywhere, Role::kFfnGate},
    {"ffn_up", Where::kAnywhere, Role::kFfnUp},
    {"ffn_down", Where::kAnywhere, Role::kFfnDown},
    {"gate_up_proj", Where::kFeedForward, Role::kFfnGateUp},
    {"gate", Where::kFeedForward, Role::kRouter},
    {"router", Where::kFeedForward, Role::kRouter},
    {"ffn_gate_inp", Where::kAnywhere, Role::kRouter},
    {"ffn_gate_exps", Where::kAnywhere, Role::kExpertGate},
    {"ffn_up_exps", Where::kAnywhere, Role::kExpertUp},
    {"ffn_down_exps", Where::kAnywhere, Role::kExpertDown},
};

std::vector<std::string_view> parts_of(std::string_view name) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t dot = name.find('.');
    parts.push_back(name.substr(0, dot));
    if (dot == std::string_view::npos) return parts;
    name.remove_prefix(dot + 1);
  }
}

std::optional<int32_t> number_of(std::string_view part) {
  int32_t value = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
  if (error != std::errc() || end != part.data() + part.size() || value < 0) return std::nullopt;
  return value;
}

bool one_of(std::string_view part, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), part) != words.end();
}

// A name taken apart: transformer.h.3.mlp.experts.0.w1.weight.
struct Parts {
  int32_t layer = -1, expert = -1;
  Where where = Where::kModel;
  std::string_view word;
  bool bias = false, plain = true;  // plain: nothing in it that is not understood
};

Parts take_apart(std::string_view name) {
  Parts out;
  std::vector<std::string_view> parts = parts_of(name);
  out.bias = parts.back() == "bias";
  if (parts.back() == "weight" || out.bias) parts.pop_back();
  if (parts.empty()) return out;
  out.word = parts.back();
  parts.pop_back();
  for (const std::string_view part : parts) {
    if (const auto number = number_of(part)) {
      (out.layer < 0 ? out.layer : out.expert) = *number;
      if (out.where == Where::kModel) out.where = Where::kAnywhere;
    } else if (one_of(part, {"self_attn", "attn", "attention", "self_attention"})) {
      out.where = Where::kAttention;
    } else if (one_of(part, {"mlp", "ffn", "feed_forward", "block_sparse_moe", "moe"})) {
      out.where = Where::kFeedForward;
    } else if (!one_of(part, {"model", "transformer", "decoder", "layers", "layer", "h", "blocks", "blk", "experts"})) {
      out.plain = false;
    }
  }
  return out;
}

Role expert_role(Role role) {
  if (role == Role::kFfnGate) return Role::kExpertGate;
  if (role == Role::kFfnUp) return Role::kExpertUp;
  return role == Role::kFfnDown ? Role::kExpertDown : Role::kNone;
}

bool may_have_bias(Role role) {
  constexpr std::array kWithout{Role::kTokenEmbedding, Role::kPositions,      Role::kOutput,
                                Role::kRopeFactors,    Role::kAttentionQNorm, Role::kAttentionKNorm};
  return std::find(kWithout.begin(), kWithout.end(), role) == kWithout.end();
}

Role role_of(const Parts& parts) {
  if (!parts.plain) return Role::kNone;
  for (const Word& row : kWords) {
    if (row.word != parts.word) continue;
    const bool inside = parts.layer >= 0;
    if ((row.where == Where::kModel) == inside) continue;
    if (inside && row.where != Where::kAnywhere && row.where != parts.where) continue;
    const Role role = parts.expert < 0 ? row.role : expert_role(row.role);
    return parts.bias && !may_have_bias(role) ? Role::kNone : role;
  }
  return Role::kNone;
}

std::string pattern_of(std::string_view name, const Parts& parts) {
  std::string out;
  bool first = true;
  for (const std::string_view part : parts_of(name)) {
    out += out.empty() ? "" : ".";
    if (!number_of(part)) {
      out += part;
    } else {
      out += first ? "#" : "@";
      first = false;
    }
  }
  return parts.layer < 0 ? std::string(name) : out;
}

// One word stands behind attention in some files and in front of the feed-forward in most: there, where no other norm
// does.
void settle_post_attention_norm(TensorRoles& roles) {
  if (!roles.has(Role::kAttentionPostNorm) || roles.has(Role::kFfnNorm) || roles.has(Role::kFfnPostNorm)) return;
  if (roles.pattern[Role::kAttentionPostNorm].find("layernorm") == std::string::npos) return;
  std::map<Placed, const TensorInfo*> settled;
  for (const auto& [placed, tensor] : roles.tensors) {
    const bool renamed = placed.role == Role::kAttentionPostNorm;
    settled[{renamed ? Role::kFfnNorm : placed.role, placed.layer, placed.expert, placed.bias}] = tensor;
  }
  roles.tensors = std::move(settled);
  roles.pattern[Role::kFfnNorm] = roles.pattern[Role::kAttentionPostNorm];
  roles.pattern.erase(Role::kAttentionPostNorm);
  if (roles.biased.erase(Role::kAttentionPostNorm) > 0) roles.biased.insert(Role::kFfnNorm);
}

// GGUF files call up and gate together ffn_up: no gate, and twice the rows that down has columns.
void settle_gate_up(TensorRoles& roles) {
  if (!roles.has(Role::kFfnUp) || roles.has(Role::kFfnGate)) return;
  const TensorInfo* up = roles.find(Role::kFfnUp, 0);
  const TensorInfo* down = roles.find(Role::kFfnDown, 0);
  if (up == nullptr || down == nullptr || up->rows() != 2 * down->cols()) return;
  for (int32_t layer = 0; layer < roles.layers; ++layer) {
    auto node = roles.tensors.extract({Role::kFfnUp, layer, -1, false});
    if (node.empty()) continue;
    node.key().role = Role::kFfnGateUp;
    roles.tensors.insert(std::move(node));
  }
  roles.pattern[Role::kFfnGateUp] = roles.pattern[Role::kFfnUp];
  roles.pattern.erase(Role::kFfnUp);
}

// Whether every matrix that is not square has its inputs as rows, and some one is not square.
bool lies_transposed(const TensorRoles& roles) {
  const TensorInfo* embedding = roles.find(Role::kTokenEmbedding);
  if (embedding == nullptr) return false;
  const int64_t hidden = embedding->cols();
  bool some = false;
  for (const auto& [placed, tensor] : roles.tensors) {
    if (placed.bias || tensor->shape.size() != 2 || tensor->rows() == tensor->cols()) continue;
    const bool reads_hidden =
        one_of(name_of(placed.role), {"attn_qkv", "attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up", "ffn_gate_up"});
    if (!reads_hidden && !one_of(name_of(placed.role), {"attn_out", "ffn_down"})) continue;
    const bool plain = (reads_hidden ? tensor->cols() : tensor->rows()) == hidden;
    if (plain) return false;
    some = true;
  }
  return some;
}

// Factors of LongRoPE lie beside the weights and are read with the rotation.
bool read_elsewhere(std::string_view name) {
  return one_of(name, {"rope_factors_long.weight", "rope_factors_short.weight"});
}

}  // namespace

const TensorInfo* TensorRoles::find(Role role, int32_t layer, int32_t expert) const {
  const auto at = tensors.find({role, layer, expert, false});
  return at == tensors.end() ? nullptr : at->second;
}

TensorRoles find_roles(const Checkpoint& checkpoint) {
  TensorRoles out;
  std::set<std::string_view> reasons;
  for (const TensorInfo& tensor : checkpoint.tensors) {
    if (checkpoint.kind == CheckpointKind::kGguf && read_elsewhere(tensor.name)) continue;
    const Parts parts = take_apart(tensor.name);
    const Role role = role_of(parts);
    std::string pattern = pattern_of(tensor.name, parts);
    if (role == Role::kNone) {
      const std::string_view why = why_refused(tensor.name);
      const bool first_of_its_kind = why == kUnexplained || reasons.insert(why).second;
      if (first_of_its_kind) out.doubts.push_back(fmt::format("tensor {}: {}", printable(tensor.name), why));
      continue;
    }
    if (parts.bias) out.biased.insert(role);
    const std::string first = parts.bias ? pattern : out.pattern.emplace(role, pattern).first->second;
    const bool added = out.tensors.emplace(Placed{role, parts.layer, parts.expert, parts.bias}, &tensor).second;
    if (first != pattern || !added) {
      out.doubts.push_back(
          fmt::format("tensors {} and {} both look like {}", printable(first), printable(tensor.name), name_of(role)));
    }
    out.layers = std::max<int64_t>(out.layers, parts.layer + 1);
  }
  settle_post_attention_norm(out);
  settle_gate_up(out);
  out.transposed = checkpoint.kind == CheckpointKind::kHuggingFace && lies_transposed(out);
  return out;
}

}  // namespace tern
