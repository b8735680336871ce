#include "engine/runner/gpu_support.h"

namespace tern {
namespace {

// Of one op; empty: it can be run.
std::string refusal_of(const Op& op) {
  switch (op.kind) {
    case OpKind::kEmbed:
      return op.scale == 1 ? "" : "embedding rows are not scaled";
    case OpKind::kRopeKv:
      if (!op.weights.empty()) return "op rope_kv has no norms of heads";
      if (op.inputs.size() != 1) return "op rope_kv wants q, k and v side by side";
      return op.rope == 0 ? "" : "op rope_kv has one rotation";
    case OpKind::kAttention:
      return op.soft_cap == 0 ? "" : "op attention has no soft cap";
    case OpKind::kSelectRows:
    case OpKind::kRmsNorm:
    case OpKind::kAddRmsNorm:
    case OpKind::kLinear:
    case OpKind::kGlu:
      return "";
    default:
      return "op " + std::string(name_of(op.kind)) + " has no CUDA kernel";
  }
}

}  // namespace

std::string cuda_refusal(const Program& program) {
  std::string refusal;
  for (const Op& op : program.ops) {
    for_each_part(op, [&](const Op& part) {
      if (refusal.empty()) refusal = refusal_of(part);
    });
  }
  return refusal;
}

}  // namespace tern
