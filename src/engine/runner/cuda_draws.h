// The end of a CUDA step: tokens drawn from rows of logits, with biases, penalties and log-probabilities where a row
// wants them, and what of it comes back to the host. Owned by the runner; one thread.
//
// For penalties it keeps counts of what each sequence holds, two slots for each that a step draws for, and room for the
// changed rows; where these are more than kMostPenaltyBytes it has none, and draws for nobody with penalties or biases.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "device/cuda_device.h"
#include "engine/batch.h"
#include "engine/request.h"
#include "engine/runner/cuda_step.h"
#include "engine/runner/runner.h"
#include "kernels/sample/logprobs_gpu.h"

namespace tern {

// What a step does about its tokens; its launches are captured apart for each.
struct CudaDrawing {
  bool any = false;
  bool greedy = false;    // all rows are
  bool adjusts = false;   // some rows have biases or penalties
  bool logprobs = false;  // some rows want them
  auto operator<=>(const CudaDrawing&) const = default;

  static CudaDrawing of(const Batch& batch);
};

class CudaDraws {
 public:
  static constexpr uint64_t kMostPenaltyBytes = 512ull << 20;

  CudaDraws() = default;
  // Rows of a step, sequences of a step, steps in flight.
  CudaDraws(int64_t vocabulary, int64_t rows, int64_t sequences, int depth);

  // What counts and changed rows take; 0: too much.
  static uint64_t penalty_bytes(int64_t vocabulary, int64_t rows, int64_t sequences, int depth);
  bool draws(const SamplingParams& params, int32_t logprobs) const;
  int64_t slots() const { return slots_; }
  uint64_t bytes() const { return counts_.bytes() + adjusted_.bytes(); }
  const int32_t* tokens() const { return reinterpret_cast<const int32_t*>(tokens_.data()); }

  // The counts of sequences that are new in their slots; before the step.
  void fill_counts(std::span<const CountedTokens> counted, void* stream);
  // Enqueues launches alone.
  void run(const CudaStepContext& context, const float* logits, CudaDrawing drawing) const;
  // Of flight `turn`: enqueues copies of what the step's `rows` rows came to; afterwards they are in result().
  void bring_back(size_t turn, int64_t rows, CudaDrawing drawing, void* stream);
  void result(size_t turn, StepResult& result) const;

 private:
  // Counts on their way to the device.
  struct Staging {
    PinnedMemory counts;
    CudaEvent copied;
  };
  struct Flight {
    PinnedMemory tokens, logprobs;
    size_t token_count = 0, logprob_count = 0;
  };
  static constexpr size_t kStagings = 16;  // sequences that begin in one step seldom are more
  static constexpr size_t kMostDepth = 2;

  int64_t vocabulary_ = 0, slots_ = 0;
  CudaMemory tokens_, workspace_, logprobs_, counts_, adjusted_;
  std::vector<Staging> staging_;  // used by turns
  size_t staged_ = 0;
  std::array<Flight, kMostDepth> flights_;
};

}  // namespace tern
