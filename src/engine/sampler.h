// From one row of logits to one token. Exact (never approximate top-k), deterministic in (logits, params, history,
// index).
//
// Order: logit bias, penalties, temperature, min-p, top-k, top-p, draw; ties are broken by the lower id everywhere. A
// row is scanned once for the largest logit of each block of columns (kernels/sample); after that only blocks that can
// matter are looked at. Not thread-safe: holds scratch that is reused from call to call.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/request.h"
#include "kernels/sample/row_scan.h"

namespace tern {

// Below this a draw is the most probable token to the last digit, and dividing by it would overflow.
inline constexpr float kGreedyTemperature = 1e-4f;

// How far below the best a scaled logit may lie: by min-p (p / p_best = exp(logit - best)), and at most e^-80, since a
// token so much less probable cannot be drawn by 53 random bits.
float log_min_p(float min_p);

class Sampler {
 public:
  explicit Sampler(const KernelSelection& kernels = KernelSelection()) : scan_(kernels) {}
  // Room for rows of `vocabulary` columns, so that no draw allocates; rows may be of any length without it.
  void reserve(size_t vocabulary);

  // `prompt` and `answer` feed the penalties; `answer.size()` is the index of the draw. `maxima`: of each block of the
  // row, as RowScan::maxima() gives them, when they are known already. A row that holds a NaN, or nothing finite, has
  // no token: returns -1.
  int32_t sample(std::span<const float> logits, const SamplingParams& params, std::span<const int32_t> prompt,
                 std::span<const int32_t> answer, std::span<const float> maxima = {});
  // Log-softmax of the raw logits: the chosen token's and the `top` largest.
  TokenLogprobs log_probabilities(std::span<const float> logits, int32_t chosen, int32_t top,
                                  std::span<const float> maxima = {});

 private:
  struct Candidate {
    float logit;
    int32_t id;
  };
  static bool before(const Candidate& a, const Candidate& b);
  bool scan_row(std::span<const float> row, std::span<const float> maxima);
  int32_t best_token() const;
  void apply_penalties(const SamplingParams& params, std::span<const int32_t> prompt, std::span<const int32_t> answer);
  void collect_from(float inverse, float floor);
  void collect_top(float inverse, float floor, size_t k);
  double collect_for_top_p(float inverse, float top_p);
  void keep_top_p(float top_p, double total);
  double weight_of_candidates() const;
  int32_t draw(double unit) const;
  int32_t draw_from_row(float inverse, double unit);

  RowScan scan_;
  // Of the row at hand.
  std::span<const float> row_;
  float best_ = 0;
  std::span<const float> maxima_;  // [blocks]
  std::vector<float> scanned_;     // maxima that nobody gave

  std::vector<float> logits_;    // a row with bias and penalties
  std::vector<int32_t> counts_;  // occurrences in the answer, zeroed after use
  std::vector<Candidate> candidates_;
  std::vector<float> sums_, order_;
  alignas(64) float weights_[kScanBlock];
};

// log(sum(exp(logits))) in f64: what a logit lacks to be a log-probability.
double log_sum_exp(std::span<const float> logits);

}  // namespace tern
