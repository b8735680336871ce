#include "kernels/moe/route.h"

#include <cmath>

namespace tern {
namespace {

// What is no number comes last, so that a token's experts are different ones whatever the scores.
float rank(float score) { return score == score ? score : -INFINITY; }

// The next expert behind `last`, by falling score and rising index; last < 0: the first one.
int64_t next_expert(const RouteFacts& facts, const float* scores, int64_t last) {
  int64_t best = -1;
  for (int64_t e = 0; e < facts.experts; ++e) {
    const float score = rank(scores[e]);
    const bool behind = last < 0 || score < rank(scores[last]) || (score == rank(scores[last]) && e > last);
    if (behind && (best < 0 || score > rank(scores[best]))) best = e;
  }
  return best;
}

}  // namespace

void route_row(const RouteFacts& facts, const float* scores, float* route) {
  float* weights = route + facts.used;
  int64_t last = -1;
  for (int64_t i = 0; i < facts.used; ++i) {
    last = next_expert(facts, scores, last);
    route[i] = static_cast<float>(last);
    weights[i] = scores[last];
  }
  const float most = weights[0];
  float sum = 0;
  for (int64_t i = 0; i < facts.used; ++i) weights[i] = std::exp(weights[i] - most);
  if (facts.normalized) {
    for (int64_t i = 0; i < facts.used; ++i) sum += weights[i];
  } else {
    for (int64_t e = 0; e < facts.experts; ++e) sum += std::exp(scores[e] - most);
  }
  for (int64_t i = 0; i < facts.used; ++i) weights[i] /= sum;
}

}  // namespace tern
