// A stream of random numbers: everything that a simulation chooses comes out of one seed. One owner.
#pragma once

#include <cstdint>

#include "core/rng.h"

namespace tern {

class Draws {
 public:
  explicit Draws(uint64_t seed) : seed_(seed) {}
  uint64_t bits() { return random_bits(seed_, index_++); }
  double unit() { return random_unit(seed_, index_++); }
  int64_t below(int64_t count) { return static_cast<int64_t>(bits() % static_cast<uint64_t>(count)); }
  bool chance(double share) { return unit() < share; }

 private:
  uint64_t seed_, index_ = 0;
};

}  // namespace tern
