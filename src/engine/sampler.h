// From one row of logits to one token. Exact (never approximate top-k), deterministic in (logits, params, history,
// index).
//
// Order: logit bias, penalties, temperature, min-p, top-k, top-p, draw; ties are broken by the lower id everywhere.
// Not thread-safe: holds scratch that is reused from call to call.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/request.h"

namespace tern {

class Sampler {
 public:
  // `prompt` and `answer` feed the penalties; `answer.size()` is the index of the draw. A row that holds a NaN, or
  // nothing finite, has no token: returns -1.
  int32_t sample(std::span<const float> logits, const SamplingParams& params, std::span<const int32_t> prompt,
                 std::span<const int32_t> answer);

 private:
  struct Candidate {
    float logit;
    int32_t id;
  };
  void apply_penalties(const SamplingParams& params, std::span<const int32_t> prompt, std::span<const int32_t> answer);
  void collect_candidates(const SamplingParams& params);
  void keep_top_p(float top_p);

  std::vector<float> logits_;
  std::vector<int32_t> counts_;  // occurrences in the answer, zeroed after use
  std::vector<Candidate> candidates_;
};

// The largest logit's id, the lowest among equals; -1 when any is NaN or none is finite.
int32_t argmax(std::span<const float> logits);

// log(sum(exp(logits))) in f64: what a logit lacks to be a log-probability.
double log_sum_exp(std::span<const float> logits);

// Log-softmax of the raw logits: the chosen token's and the `top` largest.
TokenLogprobs log_probabilities(std::span<const float> logits, int32_t chosen, int32_t top);

}  // namespace tern
