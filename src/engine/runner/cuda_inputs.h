// What a CUDA step reads that is new in each: ids, positions, places in the cache, block tables, the plan of decode
// attention. Written into pinned host memory, brought to the device by one copy, always at the same addresses, so that
// captured launches find it.
//
// A step may be padded to more tokens and rows than its batch has: padding tokens have id 0 and position 0, write no
// key and no value, and belong to no unit of the plan; padding rows are copies of row 0.
#pragma once

#include <cstdint>

#include "device/cuda_device.h"
#include "engine/batch.h"
#include "kernels/attention/decode_attention_plan.h"

namespace tern {

struct CudaInputLimits {
  int64_t tokens = 0, rows = 0, sequences = 0;
  int64_t table_stride = 0;  // blocks of the longest sequence
  int64_t units = 0;         // of a plan of decode attention, its empty last round included
};

class CudaInputs {
 public:
  CudaInputs() = default;
  explicit CudaInputs(const CudaInputLimits& limits);

  // Of cache group `group`. `plan` may be null.
  void fill(const Batch& batch, size_t group, int64_t block_tokens, int64_t tokens, int64_t rows,
            const DecodeAttentionPlan* plan);
  void copy(void* stream) const;

  const int32_t* ids() const { return device<int32_t>(ids_); }              // [tokens]
  const int32_t* positions() const { return device<int32_t>(positions_); }  // [tokens]
  const int32_t* sequences() const { return device<int32_t>(sequences_); }  // [tokens] rows of tables()
  const int64_t* slots() const { return device<int64_t>(slots_); }          // [tokens]
  const int32_t* wanted() const { return device<int32_t>(wanted_); }        // [rows]
  const int32_t* tables() const { return device<int32_t>(tables_); }        // [sequences, table_stride]
  const DecodeUnit* units() const { return device<DecodeUnit>(units_); }    // [rounds + 1, thread blocks]
  int64_t table_stride() const { return limits_.table_stride; }
  const CudaInputLimits& limits() const { return limits_; }
  uint64_t bytes() const { return device_.bytes(); }

 private:
  template <typename T>
  T* host(int64_t at) const {
    return reinterpret_cast<T*>(host_.data() + at);
  }
  template <typename T>
  const T* device(int64_t at) const {
    return reinterpret_cast<const T*>(device_.data() + at);
  }
  void fill_token(int64_t token, int32_t id, int32_t position, int32_t sequence, int64_t slot);

  CudaInputLimits limits_;
  // Byte offsets. What changes its length most comes last: only the beginning is copied.
  int64_t ids_ = 0, positions_ = 0, sequences_ = 0, slots_ = 0, wanted_ = 0, tables_ = 0, units_ = 0;
  int64_t used_ = 0;
  PinnedMemory host_;
  CudaMemory device_;
};

}  // namespace tern
