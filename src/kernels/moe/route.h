// The router of a mixture of experts: from a token's scores to the experts that it goes to and what each counts. A
// token's result depends on its scores alone; of equal scores the first expert goes before. Plain loops; any thread.
#pragma once

#include <cstdint>

namespace tern {

inline constexpr int64_t kMaxExperts = 4096;

struct RouteFacts {
  int64_t experts = 0;      // at most kMaxExperts
  int64_t used = 0;         // experts of a token
  bool normalized = false;  // their weights sum to 1, before `scale`; otherwise softmax is of all experts
  bool sigmoid = false;     // weights are sigmoids of the scores, not a softmax of them
  // Neighbouring experts are groups, of which a token goes to the best few: a group is as good as its best expert, or
  // as the sum of its best two. 1: no groups.
  int64_t groups = 1, groups_used = 1;
  bool groups_by_two = false;
  float scale = 1;            // of the weights
  bool scales_input = false;  // an expert's input has its weight, not its output
};

// used is at most what groups_used groups have. scores: [experts]; bias: [experts] added to sigmoids where experts are
// chosen, not where they are weighed, or null; route: [2 * used], numbers of experts from the best on, then their
// weights.
void route_row(const RouteFacts& facts, const float* scores, const float* bias, float* route);

}  // namespace tern
