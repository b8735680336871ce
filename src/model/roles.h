// What a weight is for. Checkpoints name tensors in their own ways; the rest of tern knows roles.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "formats/checkpoint.h"

namespace tern {

enum class Role : uint8_t {
  kNone,
  kTokenEmbedding,
  kPositions,
  kTokenTypes,
  kEmbeddingNorm,
  kOutputNorm,
  kOutput,
  kAttentionNorm,
  kAttentionQ,
  kAttentionK,
  kAttentionV,
  kAttentionQkv,
  kAttentionQA,
  kAttentionQANorm,
  kAttentionQB,
  kAttentionKvA,
  kAttentionKvANorm,
  kAttentionKB,
  kAttentionVB,
  kAttentionOut,
  kAttentionQNorm,
  kAttentionKNorm,
  kAttentionSinks,
  kAttentionPostNorm,
  kConvIn,
  kConv,
  kConvOut,
  kDeltaIn,
  kDeltaGate,
  kDeltaRates,
  kDeltaConv,
  kDeltaDecay,
  kDeltaBias,
  kDeltaNorm,
  kDeltaOut,
  kFfnNorm,
  kFfnGate,
  kFfnUp,
  kFfnGateUp,
  kFfnDown,
  kFfnPostNorm,
  kRouter,
  kChoiceBias,
  kExpertGate,
  kExpertUp,
  kExpertDown,
  kSharedGate,
  kSharedUp,
  kSharedDown,
  kSharedRouter,
  kRopeFactors,
};

std::string_view name_of(Role role);  // "attn_q"

// Whether rows of a tensor belong to one use, or each matrix' share of them to two.
enum class StoredShare : uint8_t { kWhole, kFront, kBack };

// How a matrix lies in a tensor, where that is not a row an output.
struct StoredForm {
  bool transposed = false;  // a column an output
  // So many uses share the tensor, by turns: this one, the first-th, has outputs first, first + step, ...; or one
  // behind another: outputs first * n to (first + 1) * n of its n.
  int64_t step = 1;
  int64_t first = 0;
  bool by_turns = true;
  StoredShare share = StoredShare::kWhole;
  bool plain() const { return !transposed && step == 1 && share == StoredShare::kWhole; }
};

// What one architecture calls a weight, where that differs from what most do. # stands for the layer, @ for the
// expert where each has a tensor of its own.
struct RoleName {
  Role role;
  std::string_view gguf, hugging_face;
  StoredForm hugging_face_form = {};
};

// The tensor beside a weight that adds to what it makes: of the same name, ending in .bias or _bias.
std::string bias_name(std::string weight_name);

std::string layer_name(std::string_view pattern, int32_t layer);
// The pattern of the tensor's name: # and @ are left in it.
std::string_view tensor_pattern(Role role, CheckpointKind kind);

// What most checkpoints of this kind call the tensor: "blk.3.attn_q.weight" or
// "model.layers.3.self_attn.q_proj.weight".
std::string tensor_name(Role role, int32_t layer, CheckpointKind kind);

}  // namespace tern
