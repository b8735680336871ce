// What a CUDA step reads that is new in each: ids, positions, places in the cache, block tables, the plan of
// attention. Written into pinned host memory, brought to the device by a copy of what is used, always at the same
// addresses, so that captured launches find it.
//
// Two host buffers take turns, so that a step is written while the one before is still being copied.
//
// A step may be padded to more tokens and rows than its batch has: padding tokens have id 0 and position 0, write no
// key and no value, and belong to no unit of the plan; padding rows are copies of row 0.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "device/cuda_device.h"
#include "engine/batch.h"
#include "engine/runner/cuda_attention.h"
#include "kernels/sample/draw_gpu.h"
#include "kernels/sample/logprobs_gpu.h"

namespace tern {

struct CudaInputLimits {
  int64_t tokens = 0, rows = 0, sequences = 0;
  int64_t table_stride = 0;                    // blocks of the longest sequence
  std::vector<CudaAttentionLimits> attention;  // [cache groups]
};

class CudaInputs {
 public:
  CudaInputs() = default;
  explicit CudaInputs(const CudaInputLimits& limits);

  // `plans`: of the cache groups.
  void fill(const Batch& batch, int64_t block_tokens, int64_t tokens, int64_t rows,
            std::span<const CudaAttentionPlan* const> plans);
  void copy(void* stream);

  const int32_t* ids() const { return device<int32_t>(ids_); }              // [tokens]
  const int32_t* positions() const { return device<int32_t>(positions_); }  // [tokens]
  const int32_t* sequences() const { return device<int32_t>(sequences_); }  // [tokens] rows of tables()
  const int32_t* wanted() const { return device<int32_t>(wanted_); }        // [rows]
  const GpuDraw* draws() const { return device<GpuDraw>(draws_); }          // [rows]
  const GpuAdjust* adjusts() const { return device<GpuAdjust>(adjusts_); }  // [rows] where any row has some
  const GpuBias* biases() const { return device<GpuBias>(biases_); }
  const int32_t* logprobs() const { return device<int32_t>(logprobs_); }  // [rows] wanted, where any are; -1: none
  // Of a cache group: [tokens] and [sequences, table_stride].
  const int64_t* slots(size_t group) const { return device<int64_t>(groups_[group].slots); }
  const int32_t* tables(size_t group) const { return device<int32_t>(groups_[group].tables); }
  const DecodeUnit* decode_units(size_t group) const { return device<DecodeUnit>(groups_[group].decode_units); }
  const PrefillUnit* prefill_units(size_t group) const { return device<PrefillUnit>(groups_[group].prefill_units); }
  int64_t table_stride() const { return limits_.table_stride; }
  uint64_t bytes() const { return device_.bytes(); }

 private:
  template <typename T>
  T* host(int64_t at) const {
    return reinterpret_cast<T*>(staging_[turn_].memory.data() + at);
  }
  template <typename T>
  const T* device(int64_t at) const {
    return reinterpret_cast<const T*>(device_.data() + at);
  }
  void fill_draws(const Batch& batch, int64_t rows);
  void fill_adjusts(const Batch& batch, int64_t rows);
  void fill_group(const std::vector<SequenceSlice>& slices, int64_t block_tokens, int64_t tokens, size_t group);
  void fill_units(const CudaAttentionPlan& plan, size_t group);
  void fill_token(int64_t token, int32_t id, int32_t position, int32_t sequence);

  CudaInputLimits limits_;
  struct Piece {
    int64_t at, bytes;
  };
  void used(int64_t at, size_t count, size_t element_bytes);

  // Byte offsets.
  int64_t ids_ = 0, positions_ = 0, sequences_ = 0, wanted_ = 0, draws_ = 0, adjusts_ = 0, logprobs_ = 0, biases_ = 0;
  struct Group {
    int64_t slots, tables, decode_units, prefill_units;
  };
  std::vector<Group> groups_;
  std::vector<Piece> used_;  // of this step
  struct Staging {
    PinnedMemory memory;
    CudaEvent copied;
  };
  std::vector<Staging> staging_ = std::vector<Staging>(2);
  size_t turn_ = 0;
  CudaMemory device_;
};

}  // namespace tern
