#include "engine/runner/gpu_support.h"

#include "kernels/moe/moe_gpu.h"

namespace tern {
namespace {

// Of one op; empty: it can be run.
std::string refusal_of(const Op& op) {
  switch (op.kind) {
    case OpKind::kEmbed:
      return op.weights.size() == 1 ? "" : "op embed has no table of positions";
    case OpKind::kRopeKv:
      if (!op.weights.empty() && op.weights[0].role == Role::kNone) return "op rope_kv norms heads with a weight alone";
      return op.inputs.size() == 1 ? "" : "op rope_kv wants q, k and v side by side";
    case OpKind::kRoute:
      if (op.route.sigmoid || op.route.groups > 1 || op.route.scale != 1 || op.route.scales_input)
        return "op route weighs by a softmax alone";
      return op.route.experts <= kGpuMostExperts ? "" : "op route has too many experts";
    case OpKind::kExperts:
      return op.biases.empty() && op.activation != Activation::kClampedSwiglu ? "" : "op experts has no biases";
    case OpKind::kAttention:
      if (!op.causal) return "op attention sees one way only";
      return op.weights.empty() ? "" : "op attention has no sinks";
    case OpKind::kRmsNorm:
    case OpKind::kAddRmsNorm:
      return op.centered ? "op layer_norm has no CUDA kernel" : "";
    case OpKind::kHidden:
    case OpKind::kScale:
    case OpKind::kSoftCap:
    case OpKind::kSelectRows:
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
  for (const CacheGroup& group : program.caches) {
    if (group.chunked) refusal = "op attention has windows that move alone";
  }
  for (const Op& op : program.ops) {
    for_each_part(op, [&](const Op& part) {
      if (refusal.empty()) refusal = refusal_of(part);
    });
  }
  return refusal;
}

}  // namespace tern
