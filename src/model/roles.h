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
  kAttentionOut,
  kAttentionQBias,
  kAttentionKBias,
  kAttentionVBias,
  kAttentionOutBias,
  kFfnNorm,
  kFfnGate,
  kFfnUp,
  kFfnDown,
  kRopeFactors,
};

std::string_view name_of(Role role);  // "attn_q"

// The tensor's name in a checkpoint of this kind: "blk.3.attn_q.weight" or "model.layers.3.self_attn.q_proj.weight".
std::string tensor_name(Role role, int32_t layer, CheckpointKind kind);

}  // namespace tern
