#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/rng.h"

namespace tern {
namespace {

// Below this a draw is the most probable token to the last digit, and dividing by it would overflow.
constexpr float kGreedyTemperature = 1e-4f;

// Before in the order of preference: the larger logit, then the lower id.
template <typename C>
bool before(const C& a, const C& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

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

int32_t argmax(std::span<const float> logits) {
  // Blocks first: a vectorizable maximum, then one scan for its first place. NaN anywhere makes the sum NaN.
  float best = -std::numeric_limits<float>::infinity();
  bool nan = false;
  for (float logit : logits) {
    best = logit > best ? logit : best;
    nan |= logit != logit;
  }
  if (nan || !std::isfinite(best)) return -1;
  return static_cast<int32_t>(std::find(logits.begin(), logits.end(), best) - logits.begin());
}

void Sampler::apply_penalties(const SamplingParams& p, std::span<const int32_t> prompt,
                              std::span<const int32_t> answer) {
  for (const auto& [id, bias] : p.logit_bias) {
    if (id >= 0 && id < static_cast<int32_t>(logits_.size())) logits_[static_cast<size_t>(id)] += bias;
  }
  if (p.repetition_penalty == 1.0f && p.presence_penalty == 0.0f && p.frequency_penalty == 0.0f) return;
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

// min-p and top-k: leaves candidates_ with logits divided by the temperature, less the best's. They are sorted by
// preference where top-p will need it, else in the order of ids.
void Sampler::collect_candidates(const SamplingParams& p) {
  const float inverse = 1.0f / p.temperature;
  const float best = *std::max_element(logits_.begin(), logits_.end()) * inverse;
  // min-p against the best: p / p_best = exp(logit - best). Below e^-80 a candidate cannot be drawn at all.
  const float floor = best + std::max(p.min_p > 0 ? std::log(p.min_p) : -80.0f, -80.0f);
  candidates_.clear();
  candidates_.reserve(logits_.size());
  for (size_t id = 0; id < logits_.size(); ++id) {
    const float logit = logits_[id] * inverse;
    if (logit >= floor) candidates_.push_back({logit - best, static_cast<int32_t>(id)});
  }
  const auto k = static_cast<size_t>(p.top_k);
  if (p.top_k > 0 && candidates_.size() > k) {
    std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(k), candidates_.end(),
                     before<Candidate>);
    candidates_.resize(k);
  }
  if (p.top_p < 1.0f || p.top_k > 0) std::sort(candidates_.begin(), candidates_.end(), before<Candidate>);
}

// The shortest prefix whose probability reaches top_p, at least one.
void Sampler::keep_top_p(float top_p) {
  if (top_p >= 1.0f) return;
  double total = 0;
  for (const Candidate& c : candidates_) total += std::exp(static_cast<double>(c.logit));
  double sum = 0;
  size_t kept = 0;
  while (kept < candidates_.size()) {
    sum += std::exp(static_cast<double>(candidates_[kept++].logit));
    if (sum >= static_cast<double>(top_p) * total) break;
  }
  candidates_.resize(kept);
}

int32_t Sampler::sample(std::span<const float> logits, const SamplingParams& params, std::span<const int32_t> prompt,
                        std::span<const int32_t> answer) {
  const int32_t plain_best = argmax(logits);
  if (plain_best < 0) return -1;
  const bool changed = params.repetition_penalty != 1.0f || params.presence_penalty != 0.0f ||
                       params.frequency_penalty != 0.0f || !params.logit_bias.empty();
  if (params.temperature < kGreedyTemperature && !changed) return plain_best;
  logits_.assign(logits.begin(), logits.end());
  if (changed) apply_penalties(params, prompt, answer);
  if (params.temperature < kGreedyTemperature) return argmax(logits_);
  collect_candidates(params);
  if (candidates_.empty()) return -1;
  keep_top_p(params.top_p);

  double total = 0;
  for (const Candidate& c : candidates_) total += std::exp(static_cast<double>(c.logit));
  double left = random_unit(params.seed, answer.size()) * total;
  for (const Candidate& c : candidates_) {
    left -= std::exp(static_cast<double>(c.logit));
    if (left < 0) return c.id;
  }
  return candidates_.back().id;
}

double log_sum_exp(std::span<const float> logits) {
  const float best = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits) sum += std::exp(static_cast<double>(logit - best));
  return static_cast<double>(best) + std::log(sum);
}

TokenLogprobs log_probabilities(std::span<const float> logits, int32_t chosen, int32_t top) {
  const double log_sum = log_sum_exp(logits);
  const auto logprob = [&](int32_t id) {
    return static_cast<float>(static_cast<double>(logits[static_cast<size_t>(id)]) - log_sum);
  };
  TokenLogprobs out;
  out.logprob = logprob(chosen);
  if (top <= 0) return out;
  std::vector<int32_t> ids(logits.size());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i);
  const auto count = std::min<std::ptrdiff_t>(top, static_cast<std::ptrdiff_t>(ids.size()));
  std::partial_sort(ids.begin(), ids.begin() + count, ids.end(), [&](int32_t a, int32_t b) {
    const float la = logits[static_cast<size_t>(a)], lb = logits[static_cast<size_t>(b)];
    return la != lb ? la > lb : a < b;
  });
  for (std::ptrdiff_t i = 0; i < count; ++i)
    out.top.emplace_back(ids[static_cast<size_t>(i)], logprob(ids[static_cast<size_t>(i)]));
  return out;
}

}  // namespace tern
