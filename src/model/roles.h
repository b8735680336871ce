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
  kOutputNorm,
  kOutput,
  kAttentionNorm,
  kAttentionQ,
  kAttentionK,
  kAttentionV,
  kAttentionQkv,
  kAttentionOut,
  kAttentionQBias,
  kAttentionKBias,
  kAttentionVBias,
  kAttentionOutBias,
  kAttentionQNorm,
  kAttentionKNorm,
  kAttentionPostNorm,
  kFfnNorm,
  kFfnGate,
  kFfnUp,
  kFfnGateUp,
  kFfnDown,
  kFfnPostNorm,
  kRouter,
  kExpertGate,
  kExpertUp,
  kExpertDown,
  kRopeFactors,
};

std::string_view name_of(Role role);  // "attn_q"

// What one architecture calls a weight, where that differs from what most do. # stands for the layer, @ for the
// expert where each has a tensor of its own.
struct RoleName {
  Role role;
  std::string_view gguf, hugging_face;
};

std::string layer_name(std::string_view pattern, int32_t layer);
// The pattern of the tensor's name: # and @ are left in it.
std::string_view tensor_pattern(Role role, CheckpointKind kind);

// What most checkpoints of this kind call the tensor: "blk.3.attn_q.weight" or
// "model.layers.3.self_attn.q_proj.weight".
std::string tensor_name(Role role, int32_t layer, CheckpointKind kind);

}  // namespace tern
