#include "kernels/moe/route.h"

#include <algorithm>
#include <cmath>

#include "kernels/activation/sigmoid.h"

namespace tern {
namespace {

// What is no number comes last, so that a token's experts are different ones whatever the scores.
float rank(float score) { return score == score ? score : -INFINITY; }

// The next of `count` behind `last`, by falling value and rising index; last < 0: the first one.
int64_t next_best(const float* values, int64_t count, int64_t last) {
  int64_t best = -1;
  for (int64_t i = 0; i < count; ++i) {
    const float value = rank(values[i]);
    const bool behind = last < 0 || value < rank(values[last]) || (value == rank(values[last]) && i > last);
    if (behind && (best < 0 || value > rank(values[best]))) best = i;
  }
  return best;
}

float group_value(const float* choice, int64_t size, bool by_two) {
  const int64_t first = next_best(choice, size, -1), second = by_two ? next_best(choice, size, first) : -1;
  return rank(choice[first]) + (second < 0 ? 0.0f : rank(choice[second]));
}

// The next expert behind `last` among those of the groups that are taken.
int64_t next_expert(const RouteFacts& facts, const float* choice, const bool* taken, int64_t last) {
  if (taken == nullptr) return next_best(choice, facts.experts, last);
  const int64_t size = facts.experts / facts.groups;
  int64_t at = last;
  do {
    at = next_best(choice, facts.experts, at);
  } while (at >= 0 && !taken[at / size]);
  return at;
}

void take_groups(const RouteFacts& facts, const float* choice, bool* taken) {
  float values[kMaxExperts];
  const int64_t size = facts.experts / facts.groups;
  for (int64_t g = 0; g < facts.groups; ++g) values[g] = group_value(choice + g * size, size, facts.groups_by_two);
  std::fill_n(taken, facts.groups, false);
  int64_t last = -1;
  for (int64_t i = 0; i < facts.groups_used; ++i) {
    last = next_best(values, facts.groups, last);
    taken[last] = true;
  }
}

void weigh_by_softmax(const RouteFacts& facts, const float* scores, float* weights) {
  const float most = facts.normalized ? *std::max_element(weights, weights + facts.used)
                                      : *std::max_element(scores, scores + facts.experts);
  float sum = 0;
  for (int64_t i = 0; i < facts.used; ++i) weights[i] = std::exp(weights[i] - most);
  if (facts.normalized) {
    for (int64_t i = 0; i < facts.used; ++i) sum += weights[i];
  } else {
    for (int64_t e = 0; e < facts.experts; ++e) sum += std::exp(scores[e] - most);
  }
  for (int64_t i = 0; i < facts.used; ++i) weights[i] = facts.scale * (weights[i] / sum);
}

void weigh_by_sigmoid(const RouteFacts& facts, float* weights) {
  float sum = 0;
  for (int64_t i = 0; i < facts.used; ++i) sum += weights[i] = sigmoid(weights[i]);
  const float share = facts.normalized ? facts.scale / (sum + 1e-20f) : facts.scale;
  for (int64_t i = 0; i < facts.used; ++i) weights[i] *= share;
}

}  // namespace

void route_row(const RouteFacts& facts, const float* scores, const float* bias, float* route) {
  float* weights = route + facts.used;
  float own[kMaxExperts];
  bool taken[kMaxExperts];
  const float* choice = scores;  // a softmax has the same order
  if (facts.sigmoid) {
    for (int64_t e = 0; e < facts.experts; ++e) own[e] = sigmoid(scores[e]) + (bias != nullptr ? bias[e] : 0.0f);
    choice = own;
  }
  const bool grouped = facts.groups > 1 && facts.groups_used < facts.groups;
  if (grouped) take_groups(facts, choice, taken);
  int64_t last = -1;
  for (int64_t i = 0; i < facts.used; ++i) {
    last = next_expert(facts, choice, grouped ? taken : nullptr, last);
    route[i] = static_cast<float>(last);
    weights[i] = scores[last];
  }
  facts.sigmoid ? weigh_by_sigmoid(facts, weights) : weigh_by_softmax(facts, scores, weights);
}

}  // namespace tern
