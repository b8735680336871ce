#include "engine/runner/cuda_draws.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/error.h"
#include "kernels/sample/draw_gpu.h"

namespace tern {
namespace {

template <typename T>
T* as(const CudaMemory& memory) {
  return reinterpret_cast<T*>(memory.data());
}

uint64_t count_row_bytes(int64_t vocabulary) { return static_cast<uint64_t>(vocabulary) * sizeof(GpuTokenCount); }

// A step draws one row a sequence.
uint64_t adjusted_bytes(int64_t vocabulary, int64_t rows, int64_t sequences) {
  return static_cast<uint64_t>(std::min(rows, sequences) * vocabulary) * sizeof(float);
}

// Biases of one token twice would have no order on the device.
bool distinct(const std::vector<std::pair<int32_t, float>>& biases) {
  std::vector<int32_t> ids;
  for (const auto& [id, bias] : biases) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  return std::adjacent_find(ids.begin(), ids.end()) == ids.end();
}

void count(const CountedTokens& tokens, std::span<GpuTokenCount> counts) {
  std::fill(counts.begin(), counts.end(), GpuTokenCount{0});
  for (const int32_t id : tokens.prompt) counts[static_cast<size_t>(id)] = kGpuInPrompt;
  for (const int32_t id : tokens.answer) {
    GpuTokenCount& seen = counts[static_cast<size_t>(id)];
    seen = counted_once_more(seen);
  }
}

}  // namespace

CudaDrawing CudaDrawing::of(const Batch& batch) {
  CudaDrawing out{.any = !batch.draws.empty(), .greedy = true};
  for (const TokenDraw& draw : batch.draws) {
    out.greedy &= draw.temperature <= 0;
    out.adjusts |= draw.count_slot >= 0 || !draw.logit_bias.empty();
    out.logprobs |= draw.logprobs >= 0;
  }
  return out;
}

CudaDraws::CudaDraws(int64_t vocabulary, int64_t rows, int64_t sequences, int depth) : vocabulary_(vocabulary) {
  TERN_CHECK(depth <= static_cast<int>(kMostDepth));
  const auto count = static_cast<uint64_t>(rows);
  tokens_ = CudaMemory(count * sizeof(int32_t), "drawn tokens");
  logprobs_ = CudaMemory(count * sizeof(GpuLogprobs), "log-probabilities");
  const auto chunks = static_cast<uint64_t>(gpu_draw_chunks(vocabulary));
  workspace_ = CudaMemory(count * 2 * chunks * sizeof(uint64_t), "drawing tokens");
  for (Flight& flight : flights_) {
    flight.tokens = PinnedMemory(count * sizeof(int32_t), "drawn tokens");
    flight.logprobs = PinnedMemory(count * sizeof(GpuLogprobs), "log-probabilities");
  }
  if (penalty_bytes(vocabulary, rows, sequences, depth) == 0) return;
  slots_ = depth * sequences;
  const uint64_t row = count_row_bytes(vocabulary);
  counts_ = CudaMemory(static_cast<uint64_t>(slots_) * row, "counts of tokens");
  adjusted_ = CudaMemory(adjusted_bytes(vocabulary, rows, sequences), "changed logits");
  staging_ = std::vector<Staging>(kStagings);
  for (Staging& staging : staging_) staging.counts = PinnedMemory(row, "counts of tokens");
}

uint64_t CudaDraws::penalty_bytes(int64_t vocabulary, int64_t rows, int64_t sequences, int depth) {
  const uint64_t bytes = adjusted_bytes(vocabulary, rows, sequences) +
                         static_cast<uint64_t>(depth * sequences) * count_row_bytes(vocabulary);
  return vocabulary < kGpuDrawVocabulary && bytes <= kMostPenaltyBytes ? bytes : 0;
}

bool CudaDraws::draws(const SamplingParams& params, int32_t logprobs) const {
  if (vocabulary_ >= kGpuDrawVocabulary || logprobs > kGpuMostLogprobs) return false;
  if (!params.penalizes() && params.logit_bias.empty()) return true;
  return slots_ > 0 && static_cast<int64_t>(params.logit_bias.size()) <= kGpuMostBiases && distinct(params.logit_bias);
}

void CudaDraws::fill_counts(std::span<const CountedTokens> counted, void* stream) {
  const uint64_t row = count_row_bytes(vocabulary_);
  for (const CountedTokens& tokens : counted) {
    Staging& staging = staging_[staged_++ % staging_.size()];
    staging.copied.wait();
    count(tokens, {reinterpret_cast<GpuTokenCount*>(staging.counts.data()), static_cast<size_t>(vocabulary_)});
    copy_to_device(counts_.data() + static_cast<uint64_t>(tokens.slot) * row, staging.counts.data(), row, stream);
    staging.copied.record(stream);
  }
}

void CudaDraws::run(const CudaStepContext& context, const float* logits, CudaDrawing drawing) const {
  if (!drawing.any) return;
  const CudaInputs& inputs = context.inputs;
  if (drawing.adjusts) {
    check_cuda(kGpuAdjustSm80.run({.logits = logits,
                                   .adjusts = inputs.adjusts(),
                                   .biases = inputs.biases(),
                                   .counts = as<const GpuTokenCount>(counts_),
                                   .adjusted = as<float>(adjusted_),
                                   .rows = context.rows,
                                   .vocabulary = vocabulary_,
                                   .overlap = context.overlap},
                                  context.stream),
               "adjust");
  }
  check_cuda(kGpuDrawSm80.run({.logits = logits,
                               .draws = inputs.draws(),
                               .tokens = as<int32_t>(tokens_),
                               .workspace = as<uint64_t>(workspace_),
                               .rows = context.rows,
                               .vocabulary = vocabulary_,
                               .greedy = drawing.greedy,
                               .overlap = context.overlap,
                               .adjusts = drawing.adjusts ? inputs.adjusts() : nullptr,
                               .adjusted = as<const float>(adjusted_),
                               .counts = as<GpuTokenCount>(counts_)},
                              context.stream),
             "draw");
  if (!drawing.logprobs) return;
  check_cuda(kGpuLogprobsSm80.run({.logits = logits,
                                   .tokens = tokens(),
                                   .wanted = inputs.logprobs(),
                                   .out = as<GpuLogprobs>(logprobs_),
                                   .workspace = as<uint64_t>(workspace_),
                                   .rows = context.rows,
                                   .vocabulary = vocabulary_,
                                   .overlap = context.overlap},
                                  context.stream),
             "logprobs");
}

void CudaDraws::bring_back(size_t turn, int64_t rows, CudaDrawing drawing, void* stream) {
  Flight& flight = flights_[turn];
  flight.token_count = drawing.any ? static_cast<size_t>(rows) : 0;
  flight.logprob_count = drawing.logprobs ? static_cast<size_t>(rows) : 0;
  if (drawing.any) copy_to_host(flight.tokens.data(), tokens_.data(), flight.token_count * sizeof(int32_t), stream);
  if (!drawing.logprobs) return;
  copy_to_host(flight.logprobs.data(), logprobs_.data(), flight.logprob_count * sizeof(GpuLogprobs), stream);
}

void CudaDraws::result(size_t turn, StepResult& result) const {
  const Flight& flight = flights_[turn];
  result.tokens = {reinterpret_cast<const int32_t*>(flight.tokens.data()), flight.token_count};
  result.logprobs = {reinterpret_cast<const GpuLogprobs*>(flight.logprobs.data()), flight.logprob_count};
}

}  // namespace tern
