// The router of a mixture of experts: from a token's scores to the experts that it goes to and what each counts. A
// token's result depends on its scores alone; of equal scores the first expert goes before. Plain loops; any thread.
#pragma once

#include <cstdint>

namespace tern {

struct RouteFacts {
  int64_t experts = 0;
  int64_t used = 0;         // experts of a token
  bool normalized = false;  // their weights sum to 1; otherwise each is its share of the softmax of all
};

// used is at most experts. scores: [experts]; route: [2 * used], numbers of experts by falling score, then their
// weights.
void route_row(const RouteFacts& facts, const float* scores, float* route);

}  // namespace tern
