#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/rng.h"

namespace tern {
namespace {

constexpr float kNeverDrawn = 80.0f;  // as log_min_p() says
constexpr float kLog2E = 1.44269504f;

double weight_of(float logit) { return std::exp(static_cast<double>(logit)); }

}  // namespace

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::kNone:
      return "none";
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kTimeout:
      return "timeout";
    case FinishReason::kError:
      return "error";
  }
  return "error";
}

float log_min_p(float min_p) { return std::max(min_p > 0 ? std::log(min_p) : -kNeverDrawn, -kNeverDrawn); }

void Sampler::reserve(size_t vocabulary) {
  const size_t blocks = RowScan::blocks(vocabulary);
  for (std::vector<float>* values : {&scanned_, &sums_, &order_}) values->reserve(blocks);
  logits_.reserve(vocabulary);
  counts_.reserve(vocabulary);
  candidates_.reserve(vocabulary);
}

// In the order of preference: the larger logit, then the lower id.
bool Sampler::before(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

// False when the row has no token to give.
bool Sampler::scan_row(std::span<const float> row, std::span<const float> maxima) {
  row_ = row;
  maxima_ = maxima;
  if (maxima_.empty()) {
    scanned_.resize(RowScan::blocks(row_.size()));
    scan_.maxima(row_, scanned_);
    maxima_ = scanned_;
  }
  best_ = -std::numeric_limits<float>::infinity();
  bool nan = false;
  for (const float largest : maxima_) {
    best_ = largest > best_ ? largest : best_;
    nan |= largest != largest;
  }
  return !nan && std::isfinite(best_);
}

int32_t Sampler::best_token() const {
  const auto index = static_cast<size_t>(std::find(maxima_.begin(), maxima_.end(), best_) - maxima_.begin());
  const std::span<const float> block = RowScan::block(row_, index);
  return static_cast<int32_t>(std::find(block.begin(), block.end(), best_) - block.begin()) +
         static_cast<int32_t>(index) * static_cast<int32_t>(kScanBlock);
}

void Sampler::apply_penalties(const SamplingParams& p, std::span<const int32_t> prompt,
                              std::span<const int32_t> answer) {
  for (const auto& [id, bias] : p.logit_bias) {
    if (id >= 0 && id < static_cast<int32_t>(logits_.size())) logits_[static_cast<size_t>(id)] += bias;
  }
  if (!p.penalizes()) return;
  constexpr int32_t kPromptOnly = -1;
  counts_.resize(logits_.size(), 0);
  for (int32_t id : prompt) counts_[static_cast<size_t>(id)] = kPromptOnly;
  for (int32_t id : answer) {
    int32_t& count = counts_[static_cast<size_t>(id)];
    count = count == kPromptOnly ? 1 : count + 1;
  }
  const auto penalize = [&](int32_t id) {
    int32_t& count = counts_[static_cast<size_t>(id)];
    if (count == 0) return;  // done before, or never seen
    float& logit = logits_[static_cast<size_t>(id)];
    logit = logit > 0 ? logit / p.repetition_penalty : logit * p.repetition_penalty;
    if (count > 0) logit -= p.presence_penalty + p.frequency_penalty * static_cast<float>(count);
    count = 0;
  };
  std::for_each(prompt.begin(), prompt.end(), penalize);
  std::for_each(answer.begin(), answer.end(), penalize);
}

// Every column with logit * inverse >= floor, in the order of ids, less the best's.
void Sampler::collect_from(float inverse, float floor) {
  candidates_.clear();
  const float best = best_ * inverse;
  for (size_t b = 0; b < maxima_.size(); ++b) {
    if (maxima_[b] * inverse < floor) continue;
    const std::span<const float> block = RowScan::block(row_, b);
    for (size_t i = 0; i < block.size(); ++i) {
      const float logit = block[i] * inverse;
      if (logit >= floor) candidates_.push_back({logit - best, static_cast<int32_t>(b * kScanBlock + i)});
    }
  }
}

// The k most preferred of those from the floor on, sorted. The k-th largest of the blocks' maxima is a floor under
// which none of them can lie.
void Sampler::collect_top(float inverse, float floor, size_t k) {
  if (k < maxima_.size()) {
    order_.assign(maxima_.begin(), maxima_.end());
    const auto kth = order_.begin() + static_cast<std::ptrdiff_t>(k) - 1;
    std::nth_element(order_.begin(), kth, order_.end(), std::greater<>());
    floor = std::max(floor, *kth * inverse);
  }
  collect_from(inverse, floor);
  if (candidates_.size() > k) {
    std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(k), candidates_.end(),
                     before);
    candidates_.resize(k);
  }
  std::sort(candidates_.begin(), candidates_.end(), before);
}

// As many of the most probable as reach top_p together, and some more, sorted; returns the probability of all. Looks at
// no more of the row than that takes.
double Sampler::collect_for_top_p(float inverse, float top_p) {
  const float best = best_ * inverse;
  double total = 0;
  // Small strides: a pass costs less than sorting what the last one brought too many.
  for (float reach = 4.0f;; reach += std::max(1.5f, reach / 4)) {
    collect_from(inverse, best - std::min(reach, kNeverDrawn));
    const double inside = weight_of_candidates();
    if (reach >= kNeverDrawn) total = inside;  // everything, and summed as the oracle would
    if (total == 0) {
      for (size_t b = 0; b < maxima_.size(); ++b) {
        total += scan_.weigh(RowScan::block(row_, b), best_, inverse * kLog2E, weights_);
      }
    }
    // A hair more than needed, for the two sums are rounded differently.
    if (reach >= kNeverDrawn || inside >= static_cast<double>(top_p) * total * (1 + 1e-6)) break;
  }
  std::sort(candidates_.begin(), candidates_.end(), before);
  return total;
}

// The shortest run of the sorted candidates that reaches top_p of the total, at least one.
void Sampler::keep_top_p(float top_p, double total) {
  double sum = 0;
  size_t kept = 0;
  while (kept < candidates_.size()) {
    sum += weight_of(candidates_[kept++].logit);
    if (sum >= static_cast<double>(top_p) * total) break;
  }
  candidates_.resize(kept);
}

double Sampler::weight_of_candidates() const {
  double total = 0;
  for (const Candidate& c : candidates_) total += weight_of(c.logit);
  return total;
}

int32_t Sampler::draw(double unit) const {
  double left = unit * weight_of_candidates();
  for (const Candidate& c : candidates_) {
    left -= weight_of(c.logit);
    if (left < 0) return c.id;
  }
  return candidates_.back().id;
}

// From the whole row: first the block, then the column.
int32_t Sampler::draw_from_row(float inverse, double unit) {
  const float scale = inverse * kLog2E;
  sums_.resize(maxima_.size());
  double total = 0;
  for (size_t b = 0; b < sums_.size(); ++b) {
    sums_[b] = scan_.weigh(RowScan::block(row_, b), best_, scale, weights_);
    total += sums_[b];
  }
  double left = unit * total;
  size_t chosen = sums_.size();
  for (size_t b = 0; b < sums_.size(); ++b) {
    if (sums_[b] == 0) continue;
    chosen = b;
    if (left < sums_[b]) break;
    left -= sums_[b];
  }
  const std::span<const float> block = RowScan::block(row_, chosen);
  scan_.weigh(block, best_, scale, weights_);
  size_t column = 0;
  for (size_t i = 0; i < block.size(); ++i) {
    if (weights_[i] == 0) continue;
    column = i;
    left -= static_cast<double>(weights_[i]);
    if (left < 0) break;
  }
  return static_cast<int32_t>(chosen * kScanBlock + column);
}

int32_t Sampler::sample(std::span<const float> logits, const SamplingParams& p, std::span<const int32_t> prompt,
                        std::span<const int32_t> answer, std::span<const float> maxima) {
  if (!scan_row(logits, maxima)) return -1;
  if (p.penalizes() || !p.logit_bias.empty()) {
    logits_.assign(logits.begin(), logits.end());
    apply_penalties(p, prompt, answer);
    if (!scan_row(logits_, {})) return -1;
  }
  if (p.temperature < kGreedyTemperature) return best_token();
  const float inverse = 1.0f / p.temperature;
  const double unit = random_unit(p.seed, answer.size());
  if (p.top_k <= 0 && p.top_p >= 1.0f && p.min_p <= 0) return draw_from_row(inverse, unit);
  const float floor = best_ * inverse + log_min_p(p.min_p);
  if (p.top_k > 0) {
    collect_top(inverse, floor, static_cast<size_t>(p.top_k));
  } else if (p.min_p > 0) {
    collect_from(inverse, floor);
    if (p.top_p < 1.0f) std::sort(candidates_.begin(), candidates_.end(), before);
  } else {
    keep_top_p(p.top_p, collect_for_top_p(inverse, p.top_p));
    return draw(unit);
  }
  if (p.top_p < 1.0f) keep_top_p(p.top_p, weight_of_candidates());
  return candidates_.empty() ? -1 : draw(unit);
}

double log_sum_exp(std::span<const float> logits) {
  const float best = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits) sum += std::exp(static_cast<double>(logit - best));
  return static_cast<double>(best) + std::log(sum);
}

TokenLogprobs Sampler::log_probabilities(std::span<const float> logits, int32_t chosen, int32_t top,
                                         std::span<const float> maxima) {
  scan_row(logits, maxima);
  double sum = 0;
  for (size_t b = 0; b < maxima_.size(); ++b) sum += scan_.weigh(RowScan::block(row_, b), best_, kLog2E, weights_);
  const double log_sum = static_cast<double>(best_) + std::log(sum);
  const auto logprob = [&](int32_t id) {
    return static_cast<float>(static_cast<double>(logits[static_cast<size_t>(id)]) - log_sum);
  };
  TokenLogprobs out;
  out.logprob = logprob(chosen);
  if (top <= 0) return out;
  collect_top(1.0f, -std::numeric_limits<float>::infinity(), static_cast<size_t>(top));
  for (const Candidate& c : candidates_) out.top.emplace_back(c.id, logprob(c.id));
  return out;
}

}  // namespace tern
