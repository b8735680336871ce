#include "engine/runner/cuda_inputs.h"

#include <algorithm>
#include <cmath>
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
  draws_ = append(end, limits.rows, sizeof(GpuDraw));
  tables_ = append(end, limits.sequences * limits.table_stride, sizeof(int32_t));
  decode_units_ = append(end, limits.attention.decode_units, sizeof(DecodeUnit));
  prefill_units_ = append(end, limits.attention.prefill_units, sizeof(PrefillUnit));
  for (Staging& staging : staging_) staging.memory = PinnedMemory(static_cast<uint64_t>(end), "a step's inputs");
  device_ = CudaMemory(static_cast<uint64_t>(end), "a step's inputs");
}

void CudaInputs::fill_token(int64_t token, int32_t id, int32_t position, int32_t sequence, int64_t slot) {
  host<int32_t>(ids_)[token] = id;
  host<int32_t>(positions_)[token] = position;
  host<int32_t>(sequences_)[token] = sequence;
  host<int64_t>(slots_)[token] = slot;
}

void CudaInputs::used(int64_t at, size_t count, size_t element_bytes) {
  const auto bytes = static_cast<int64_t>(count * element_bytes);
  if (bytes == 0) return;
  // One copy of a few more bytes is cheaper than two.
  constexpr int64_t kNear = 16 << 10;
  if (!used_.empty() && at - used_.back().at - used_.back().bytes < kNear) {
    used_.back().bytes = at + bytes - used_.back().at;
  } else {
    used_.push_back({at, bytes});
  }
}

void CudaInputs::fill(const Batch& batch, int64_t block_tokens, int64_t tokens, int64_t rows,
                      const CudaAttentionPlan& plan) {
  turn_ = 1 - turn_;
  staging_[turn_].copied.wait();
  const auto& slices = batch.slices[0];
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
  const auto count = static_cast<size_t>(tokens);
  used_.clear();
  for (int64_t at : {ids_, positions_, sequences_}) used(at, count, sizeof(int32_t));
  used(slots_, count, sizeof(int64_t));
  used(wanted_, static_cast<size_t>(rows), sizeof(int32_t));
  fill_draws(batch, rows);
  used(tables_, slices.size() * static_cast<size_t>(limits_.table_stride), sizeof(int32_t));
  fill_units(plan);
}

void CudaInputs::fill_draws(const Batch& batch, int64_t rows) {
  if (batch.draws.empty()) return;
  constexpr float kNeverDrawn = 80.0f;  // as in the sampler
  auto* draws = host<GpuDraw>(draws_);
  for (const TokenDraw& draw : batch.draws) {
    *draws++ = {.inverse_temperature = draw.temperature > 0 ? 1.0f / draw.temperature : 0,
                .log_min_p = std::max(draw.min_p > 0 ? std::log(draw.min_p) : -kNeverDrawn, -kNeverDrawn),
                .top_p = draw.top_p,
                .top_k = draw.top_k,
                .random = draw.random,
                .unused = 0};
  }
  std::fill(draws, host<GpuDraw>(draws_) + rows, GpuDraw{});
  used(draws_, static_cast<size_t>(rows), sizeof(GpuDraw));
}

void CudaInputs::fill_units(const CudaAttentionPlan& plan) {
  if (plan.plain) return;
  const auto copy = [&](int64_t at, int64_t most, const auto& units) {
    TERN_CHECK(static_cast<int64_t>(units.size()) <= most);
    std::memcpy(staging_[turn_].memory.data() + at, units.data(), units.size() * sizeof(units[0]));
    used(at, units.size(), sizeof(units[0]));
  };
  copy(decode_units_, limits_.attention.decode_units, plan.decode.units);
  copy(prefill_units_, limits_.attention.prefill_units, plan.prefill.units);
}

void CudaInputs::copy(void* stream) {
  Staging& staging = staging_[turn_];
  for (const Piece& piece : used_) {
    copy_to_device(device_.data() + piece.at, staging.memory.data() + piece.at, static_cast<uint64_t>(piece.bytes),
                   stream);
  }
  staging.copied.record(stream);
}

}  // namespace tern
