#include "engine/runner/cuda_inputs.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace tern {
namespace {

constexpr int64_t kAlign = 256;

int64_t append(int64_t& end, int64_t count, size_t bytes) {
  const int64_t at = end;
  end += (count * static_cast<int64_t>(bytes) + kAlign - 1) / kAlign * kAlign;
  return at;
}

}  // namespace

CudaInputs::CudaInputs(const CudaInputLimits& limits) : limits_(limits) {
  int64_t end = 0;
  ids_ = append(end, limits.tokens, sizeof(int32_t));
  positions_ = append(end, limits.tokens, sizeof(int32_t));
  sequences_ = append(end, limits.tokens, sizeof(int32_t));
  slots_ = append(end, limits.tokens, sizeof(int64_t));
  wanted_ = append(end, limits.rows, sizeof(int32_t));
  units_ = append(end, limits.units, sizeof(DecodeUnit));
  tables_ = append(end, limits.sequences * limits.table_stride, sizeof(int32_t));
  host_ = PinnedMemory(static_cast<uint64_t>(end), "a step's inputs");
  device_ = CudaMemory(static_cast<uint64_t>(end), "a step's inputs");
}

void CudaInputs::fill_token(int64_t token, int32_t id, int32_t position, int32_t sequence, int64_t slot) {
  host<int32_t>(ids_)[token] = id;
  host<int32_t>(positions_)[token] = position;
  host<int32_t>(sequences_)[token] = sequence;
  host<int64_t>(slots_)[token] = slot;
}

void CudaInputs::fill(const Batch& batch, size_t group, int64_t block_tokens, int64_t tokens, int64_t rows,
                      const DecodeAttentionPlan* plan) {
  const auto& slices = batch.slices[group];
  TERN_CHECK(tokens <= limits_.tokens && rows <= limits_.rows &&
             static_cast<int64_t>(slices.size()) <= limits_.sequences);
  for (size_t s = 0; s < slices.size(); ++s) {
    const SequenceSlice& slice = slices[s];
    const int64_t blocks = (slice.history_len + slice.query_len + block_tokens - 1) / block_tokens;
    TERN_CHECK(blocks <= limits_.table_stride);
    std::memcpy(host<int32_t>(tables_) + static_cast<int64_t>(s) * limits_.table_stride, slice.block_table,
                static_cast<size_t>(blocks) * sizeof(int32_t));
    for (int32_t i = 0; i < slice.query_len; ++i) {
      const int32_t token = slice.query_begin + i, position = slice.history_len + i;
      const int64_t slot = slice.block_table[position / block_tokens] * block_tokens + position % block_tokens;
      fill_token(token, batch.tokens[static_cast<size_t>(token)], position, static_cast<int32_t>(s), slot);
    }
  }
  for (auto token = static_cast<int64_t>(batch.tokens.size()); token < tokens; ++token) fill_token(token, 0, 0, 0, -1);
  std::memcpy(host<int32_t>(wanted_), batch.wanted.data(), batch.wanted.size() * sizeof(int32_t));
  std::fill(host<int32_t>(wanted_) + batch.wanted.size(), host<int32_t>(wanted_) + rows, 0);
  if (plan != nullptr) {
    TERN_CHECK(static_cast<int64_t>(plan->units.size()) <= limits_.units);
    std::memcpy(host<DecodeUnit>(units_), plan->units.data(), plan->units.size() * sizeof(DecodeUnit));
  }
  used_ = tables_ + static_cast<int64_t>(slices.size()) * limits_.table_stride * static_cast<int64_t>(sizeof(int32_t));
}

void CudaInputs::copy(void* stream) const {
  copy_to_device(device_.data(), host_.data(), static_cast<uint64_t>(used_), stream);
}

}  // namespace tern
