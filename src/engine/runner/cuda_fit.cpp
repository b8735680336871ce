// How much of a model a GPU takes: the sizes that CudaRunner will reserve, without reserving them.
#include <algorithm>
#include <map>

#include "engine/runner/cuda_draws.h"
#include "engine/runner/cuda_gaps.h"
#include "engine/runner/cuda_kv_pool.h"
#include "engine/runner/cuda_linear.h"
#include "engine/runner/cuda_runner.h"
#include "engine/runner/cuda_weights.h"
#include "engine/runner/gpu_fusions.h"
#include "model/passes/passes.h"

namespace tern {
namespace {

// Attention's and cuBLASLt's workspaces, inputs, tables: not laid out here.
constexpr uint64_t kBesideBytes = 1536ull << 20;

// What one op's weights take; of matrices that several ops share, each time.
uint64_t weight_bytes(const Op& op, const Program& program, const WeightMap& weights, const CudaOptions& cuda,
                      int capability) {
  uint64_t bytes = 0;
  DecodeWeight as = DecodeWeight::kBf16;
  if (op.kind == OpKind::kLinear) {
    std::vector<const TensorInfo*> parts;
    for (const WeightUse& use : op.weights) parts.push_back(&weights.tensor(use));
    const bool logits = op.outputs[0].buffer == program.entries[0].result.buffer;
    as = choose_weight(parts, logits, cuda, capability);
  }
  for (const WeightUse& use : op.weights) {
    bytes += cuda_matrix_bytes(use.rows * std::max<int64_t>(use.experts, 1), use.cols, as);
  }
  return bytes;
}

int32_t layers_of(const Program& program) {
  int32_t layers = 0;
  for (const Op& op : program.ops) layers = std::max(layers, op.layer + 1);
  return layers;
}

uint64_t program_bytes(const Program& program, const WeightMap& weights, const RunnerOptions& options,
                       const CudaOptions& cuda, int capability) {
  const auto any = [](const Op&) { return true; };
  const GpuFusions fusions =
      cuda.fuses() ? find_gpu_fusions(program, cuda_kv_format(options.kv_format), any) : no_gpu_fusions(program);
  const MemoryPlan plan = plan_memory(with_fused_lifetimes(program, fusions));
  auto bytes = static_cast<uint64_t>(plan.token_cols * options.max_batched_tokens + plan.row_cols * options.max_rows) *
               sizeof(float);
  for (const Op& op : program.ops) bytes += weight_bytes(op, program, weights, cuda, capability);
  const CudaKvPool kv(program, cuda_kv_format(options.kv_format), options.block_tokens);
  bytes += CudaDraws::penalty_bytes(program.vocabulary, options.max_rows, options.max_sequences, CudaStepGaps::kDepth);
  return bytes + kBesideBytes + kv.bytes_for(std::min(options.kv_tokens, options.max_model_len));
}

}  // namespace

int64_t gpu_layers_that_fit(const Checkpoint& checkpoint, const Program& source, const RunnerOptions& options,
                            const CudaOptions& cuda) {
  const CudaDevice device(cuda.device);
  const uint64_t allowed = device.free_of_share(cuda.memory_share);
  const WeightMap weights(checkpoint);
  const int32_t layers = layers_of(source);
  const auto fits = [&](const Program& part) {
    const Program lowered = lower(part, {.fuse_into_linear = false});
    return program_bytes(lowered, weights, options, cuda, device.capability()) <= allowed;
  };
  if (fits(source)) return layers;
  // The more layers, the more memory: between one that fits and one that does not.
  int32_t fitting = 0, beyond = layers;
  while (beyond - fitting > 1) {
    const int32_t count = (fitting + beyond) / 2;
    (fits(split_at(source, layers - count).second) ? fitting : beyond) = count;
  }
  return fitting;
}

}  // namespace tern
