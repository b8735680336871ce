// Attention over one cache group of a CUDA executable: which kernels serve it on this device, how a step's sequences
// are divided between them, and the launches of a layer. Sequences with few query tokens go to the decode kernel, the
// others to the prefill kernel; where those do not fit (head size, device) one plain kernel takes all.
//
// Owned by the runner; engine thread only.
#pragma once

#include <cstdint>
#include <string>

#include "device/cuda_device.h"
#include "engine/runner/runner.h"
#include "kernels/attention/decode_attention_plan.h"
#include "kernels/attention/prefill_attention_plan.h"
#include "model/program.h"

namespace tern {

// One layer of the cache.
struct CudaKv {
  DecodeKvView view;
  DecodeKv format;
  int32_t block_tokens;
  size_t group;  // cache group of the program
};

// Of a step, for all its layers. `sequence` of a unit is the row of the step's block tables.
struct CudaAttentionPlan {
  bool plain = true;
  DecodeAttentionPlan decode;
  PrefillAttentionPlan prefill;
};

struct CudaAttentionLimits {
  int64_t decode_units = 0, prefill_units = 0;  // of a plan, its empty last rounds included
};

class CudaInputs;

// Throws Error{kBadInput} for a format that no cache on a GPU has.
DecodeKv cuda_kv_format(Format format);

class CudaAttention {
 public:
  // Throws Error{kFailed} where no kernel takes the head size.
  // `deterministic`: the decode kernel takes sequences of every length, since its bits are the same in any company.
  CudaAttention(const Program& program, size_t group, const RunnerOptions& options, int capability, bool deterministic);
  CudaAttentionLimits limits() const { return limits_; }
  const CudaAttentionPlan& plan(const BatchShape& shape);
  // A layer. `q`, `out`: bf16 [tokens, heads * head_dim]. Captured launches read units and tables anew.
  void run(const CudaInputs& inputs, const CudaKv& kv, const std::byte* q, std::byte* out, int64_t tokens, void* stream,
           bool overlap) const;
  std::string kernel() const;
  Cost cost(const BatchShape& shape) const;
  uint64_t bytes() const { return workspace_.bytes(); }

 private:
  void choose_decode(const RunnerOptions& options);
  void choose_prefill(const RunnerOptions& options);
  bool is_prompt(const SequenceSlice& slice) const;
  void plan_decode(const BatchShape& shape);
  void plan_prefill(const BatchShape& shape);
  void run_decode(const CudaInputs& inputs, const CudaKv& kv, const std::byte* q, std::byte* out, void* stream,
                  bool overlap) const;
  void run_prefill(const CudaInputs& inputs, const CudaKv& kv, const std::byte* q, std::byte* out, int64_t tokens,
                   void* stream) const;
  int64_t columns() const { return int64_t{desc_.heads} * desc_.head_dim; }

  size_t group_;
  bool deterministic_;
  DecodeAttentionDesc desc_;
  PrefillAttentionDesc prefill_desc_;
  const DecodeAttentionImpl* decode_ = nullptr;
  const PrefillAttentionImpl* prefill_ = nullptr;
  CudaAttentionLimits limits_;
  int32_t slots_ = 0;
  CudaMemory workspace_;
  CudaAttentionPlan plan_;
  std::vector<SequenceSlice> chosen_;  // of one kernel
  std::vector<int32_t> rows_;          // [chosen] of the block tables
};

}  // namespace tern
