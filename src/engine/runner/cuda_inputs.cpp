#include "engine/runner/cuda_inputs.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "engine/sampler.h"

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
  wanted_ = append(end, limits.rows, sizeof(int32_t));
  draws_ = append(end, limits.rows, sizeof(GpuDraw));
  adjusts_ = append(end, limits.rows, sizeof(GpuAdjust));
  logprobs_ = append(end, limits.rows, sizeof(int32_t));
  biases_ = append(end, std::min(limits.rows, limits.sequences) * kGpuMostBiases, sizeof(GpuBias));
  for (const CudaAttentionLimits& attention : limits.attention) {
    Group& group = groups_.emplace_back();
    group.slots = append(end, limits.tokens, sizeof(int64_t));
    group.tables = append(end, limits.sequences * limits.table_stride, sizeof(int32_t));
    group.decode_units = append(end, attention.decode_units, sizeof(DecodeUnit));
    group.prefill_units = append(end, attention.prefill_units, sizeof(PrefillUnit));
  }
  for (Staging& staging : staging_) staging.memory = PinnedMemory(static_cast<uint64_t>(end), "a step's inputs");
  device_ = CudaMemory(static_cast<uint64_t>(end), "a step's inputs");
}

void CudaInputs::fill_token(int64_t token, int32_t id, int32_t position, int32_t sequence) {
  host<int32_t>(ids_)[token] = id;
  host<int32_t>(positions_)[token] = position;
  host<int32_t>(sequences_)[token] = sequence;
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
                      std::span<const CudaAttentionPlan* const> plans) {
  turn_ = 1 - turn_;
  staging_[turn_].copied.wait();
  const auto& slices = batch.slices[0];
  TERN_CHECK(tokens <= limits_.tokens && rows <= limits_.rows &&
             static_cast<int64_t>(slices.size()) <= limits_.sequences);
  for (size_t s = 0; s < slices.size(); ++s) {
    for (int32_t i = 0; i < slices[s].query_len; ++i) {
      const int32_t token = slices[s].query_begin + i;
      fill_token(token, batch.tokens[static_cast<size_t>(token)], slices[s].history_len + i, static_cast<int32_t>(s));
    }
  }
  for (auto token = static_cast<int64_t>(batch.tokens.size()); token < tokens; ++token) fill_token(token, 0, 0, 0);
  std::memcpy(host<int32_t>(wanted_), batch.wanted.data(), batch.wanted.size() * sizeof(int32_t));
  std::fill(host<int32_t>(wanted_) + batch.wanted.size(), host<int32_t>(wanted_) + rows, 0);
  used_.clear();
  for (int64_t at : {ids_, positions_, sequences_}) used(at, static_cast<size_t>(tokens), sizeof(int32_t));
  used(wanted_, static_cast<size_t>(rows), sizeof(int32_t));
  fill_draws(batch, rows);
  for (size_t group = 0; group < groups_.size(); ++group) {
    fill_group(batch.slices[group], block_tokens, tokens, group);
    fill_units(*plans[group], group);
  }
}

// Places in the cache and block tables.
void CudaInputs::fill_group(const std::vector<SequenceSlice>& slices, int64_t block_tokens, int64_t tokens,
                            size_t group) {
  auto* slots = host<int64_t>(groups_[group].slots);
  std::fill(slots, slots + tokens, -1);
  for (size_t s = 0; s < slices.size(); ++s) {
    const SequenceSlice& slice = slices[s];
    const int64_t blocks = (slice.history_len + slice.query_len + block_tokens - 1) / block_tokens;
    TERN_CHECK(blocks <= limits_.table_stride);
    // Blocks that a window has left are those of nobody (-1); padding tokens read the first entry all the same.
    std::transform(slice.block_table, slice.block_table + blocks,
                   host<int32_t>(groups_[group].tables) + static_cast<int64_t>(s) * limits_.table_stride,
                   [](int32_t block) { return std::max(block, 0); });
    for (int32_t i = 0; i < slice.query_len; ++i) {
      const int64_t position = slice.history_len + i;
      slots[slice.query_begin + i] =
          slice.block_table[position / block_tokens] * block_tokens + position % block_tokens;
    }
  }
  used(groups_[group].slots, static_cast<size_t>(tokens), sizeof(int64_t));
  used(groups_[group].tables, slices.size() * static_cast<size_t>(limits_.table_stride), sizeof(int32_t));
}

void CudaInputs::fill_draws(const Batch& batch, int64_t rows) {
  if (batch.draws.empty()) return;
  auto* draws = host<GpuDraw>(draws_);
  for (const TokenDraw& draw : batch.draws) {
    *draws++ = {.inverse_temperature = draw.temperature > 0 ? 1.0f / draw.temperature : 0,
                .log_min_p = log_min_p(draw.min_p),
                .top_p = draw.top_p,
                .top_k = draw.top_k,
                .random = draw.random,
                .unused = 0};
  }
  std::fill(draws, host<GpuDraw>(draws_) + rows, GpuDraw{});
  used(draws_, static_cast<size_t>(rows), sizeof(GpuDraw));
  fill_adjusts(batch, rows);
}

// Padding rows and those of others are not changed, and nothing is wanted of them.
void CudaInputs::fill_adjusts(const Batch& batch, int64_t rows) {
  auto* adjusts = host<GpuAdjust>(adjusts_);
  auto* logprobs = host<int32_t>(logprobs_);
  std::fill(adjusts, adjusts + rows, GpuAdjust{});
  std::fill(logprobs, logprobs + rows, -1);
  int32_t biases = 0;
  for (const TokenDraw& draw : batch.draws) {
    *logprobs++ = draw.logprobs;
    *adjusts++ = {.repetition_penalty = draw.repetition_penalty,
                  .presence_penalty = draw.presence_penalty,
                  .frequency_penalty = draw.frequency_penalty,
                  .slot = draw.count_slot,
                  .first_bias = biases,
                  .biases = static_cast<int32_t>(draw.logit_bias.size())};
    for (const auto& [id, bias] : draw.logit_bias) host<GpuBias>(biases_)[biases++] = {id, bias};
  }
  used(adjusts_, static_cast<size_t>(rows), sizeof(GpuAdjust));
  used(logprobs_, static_cast<size_t>(rows), sizeof(int32_t));
  used(biases_, static_cast<size_t>(biases), sizeof(GpuBias));
}

void CudaInputs::fill_units(const CudaAttentionPlan& plan, size_t group) {
  if (plan.plain) return;
  const CudaAttentionLimits& limits = limits_.attention[group];
  const auto copy = [&](int64_t at, int64_t most, const auto& units) {
    TERN_CHECK(static_cast<int64_t>(units.size()) <= most);
    std::memcpy(staging_[turn_].memory.data() + at, units.data(), units.size() * sizeof(units[0]));
    used(at, units.size(), sizeof(units[0]));
  };
  copy(groups_[group].decode_units, limits.decode_units, plan.decode.units);
  copy(groups_[group].prefill_units, limits.prefill_units, plan.prefill.units);
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
