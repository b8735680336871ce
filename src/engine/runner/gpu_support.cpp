#include "engine/runner/gpu_support.h"

#include "kernels/moe/moe_gpu.h"

namespace tern {
namespace {

// Of one op; empty: it can be run.
std::string refusal_of(const Op& op) {
  switch (op.kind) {
    case OpKind::kRopeKv:
      return op.inputs.size() == 1 ? "" : "op rope_kv wants q, k and v side by side";
    case OpKind::kRoute:
      return op.route.experts <= kGpuMostExperts ? "" : "op route has too many experts";
    case OpKind::kEmbed:
    case OpKind::kHidden:
    case OpKind::kAttention:
    case OpKind::kExperts:
    case OpKind::kScale:
    case OpKind::kSoftCap:
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
