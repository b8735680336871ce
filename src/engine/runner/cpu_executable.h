// A lowered program bound to the CPU: kernels chosen, weights packed, memory planned and reserved. The runner owns it
// and runs its steps; what they write lies here. The engine's thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/thread_pool.h"
#include "device/buffer.h"
#include "engine/runner/cpu_arena.h"
#include "engine/runner/cpu_experts.h"
#include "engine/runner/cpu_gated_delta.h"
#include "engine/runner/cpu_gates.h"
#include "engine/runner/cpu_kv_pool.h"
#include "engine/runner/cpu_latent.h"
#include "engine/runner/cpu_short_conv.h"
#include "engine/runner/cpu_steps.h"
#include "engine/runner/runner.h"
#include "engine/runner/weight_storage.h"

namespace tern {

class CpuExecutable {
 public:
  // Refuses what it can before it packs weights, on `pool`. `checkpoint` outlives this.
  CpuExecutable(const Checkpoint& checkpoint, const ModelConfig& config, const Program& lowered,
                const RunnerOptions& options, ThreadPool& pool);
  CpuExecutable(const CpuExecutable&) = delete;
  CpuExecutable& operator=(const CpuExecutable&) = delete;

  const Program& program() const { return program_; }
  const RunnerOptions& options() const { return options_; }                   // max_model_len as the KV pool allows
  std::span<const std::unique_ptr<CpuStep>> steps() const { return steps_; }  // one an op of the program
  CpuKvPool& kv() { return kv_; }
  const CpuKvPool& kv() const { return kv_; }
  // For a new step of the engine; `batch` outlives it.
  StepContext begin(const Batch& batch);
  // What the steps have made: the rows of the program's entry; [rows, blocks of the vocabulary], empty when no product
  // makes logits.
  std::span<const float> result(const BatchShape& shape) const;
  std::span<const float> block_maxima(int64_t rows) const;
  MemoryReport memory() const;
  PackCacheReport pack_cache() const { return storage_.report(); }

 private:
  struct PackedLinear {
    std::unique_ptr<Linear> linear;
    std::vector<std::vector<float>> biases;
  };
  void bind_linears();
  std::unique_ptr<CpuStep> bind_linear(const Op& op);
  std::unique_ptr<CpuStep> bind_experts(const Op& op);
  const Linear* bind_expert(const Op& op, size_t first, size_t count, int64_t expert);
  std::unique_ptr<CpuStep> bind_head_product(const Op& op);
  void reserve_workspace();
  std::unique_ptr<CpuStep> bind_step(const Op& op);
  std::unique_ptr<CpuStep> bind_gated_delta(const Op& op) const;
  std::unique_ptr<CpuStep> bind_embed(const Op& op) const;
  std::unique_ptr<NormStep> bind_norm(const Op& op) const;
  std::unique_ptr<RopeKvStep> bind_rope_kv(const Op& op);
  std::unique_ptr<AttentionStep> bind_attention(const Op& op);
  std::unique_ptr<GluStep> bind_glu(const Op& op) const;
  Attention attention(const CacheGroup& group, float soft_cap, const float* sinks = nullptr) const;
  Place place_in(const Op& op, size_t i) const { return arena_.place(op.inputs[i]); }
  Place place_out(const Op& op, size_t i) const { return arena_.place(op.outputs[i]); }
  size_t vocabulary_blocks() const { return RowScan::blocks(static_cast<size_t>(program_.vocabulary)); }

  WeightMap weights_;
  Program program_;
  RunnerOptions options_;
  int workers_;
  CpuArena arena_;
  CpuKvPool kv_;
  GrowingRopeTable rope_, local_rope_;
  HeadCounters heads_;
  std::vector<PackedLinear> linears_;
  ExpertVisits expert_visits_;
  bool both_ways_ = false;  // some attention is not causal
  std::vector<SequenceSlice> tokens_alone_;
  std::vector<std::vector<float>> sinks_;  // of the layers that have them; their data stays where it is
  const Linear* tied_head_ = nullptr;
  uint64_t head_workspace_bytes_ = 0;
  Buffer workspace_, attention_workspace_;
  std::vector<float> maxima_;  // [max_rows, blocks of the vocabulary]; empty when no product makes the logits
  std::vector<std::unique_ptr<CpuStep>> steps_;
  WeightStorage storage_;
};

}  // namespace tern
