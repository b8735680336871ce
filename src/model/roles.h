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
  kRopeFactors,
};

std::string_view name_of(Role role);  // "attn_q"

// What one architecture calls a weight, where that differs from what most do. # stands for the layer.
struct RoleName {
  Role role;
  std::string_view gguf, hugging_face;
};

std::string layer_name(std::string_view pattern, int32_t layer);

// What most checkpoints of this kind call the tensor: "blk.3.attn_q.weight" or
// "model.layers.3.self_attn.q_proj.weight".
std::string tensor_name(Role role, int32_t layer, CheckpointKind kind);

}  // namespace tern
