// The model of the simulator: keys and values, logits and tokens as hashes.
//
// What a position's key and value stand for is value(p) = H(value(p - 1), token, p): a function of all tokens so far,
// as in a real model. A query sums a term for each position that its group's window lets it see, and the next token is
// a hash of the sums: it is right only when every page that was read holds what it should. TokenChain says what should
// come out, from the tokens alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/rng.h"

namespace tern {

struct FakeModel {
  static constexpr int32_t kEndToken = 0;
  static constexpr uint64_t kRootValue = 0x7e57;

  std::vector<int64_t> windows;  // [groups]; 0: all positions
  int32_t vocabulary = 1000;

  static uint64_t value(uint64_t before, int32_t token, int64_t position) {
    return mix64(before ^ mix64((static_cast<uint64_t>(token) << 32) + static_cast<uint64_t>(position)));
  }
  static uint64_t term(uint64_t value, int64_t position) {
    return (value ^ (static_cast<uint64_t>(position) * 0x9e3779b97f4a7c15ull)) * 0xd6e8feb86659fd93ull;
  }
  // The first position that a query at `position` sees.
  int64_t first_seen(size_t group, int64_t position) const {
    return windows[group] == 0 || position < windows[group] ? 0 : position - windows[group] + 1;
  }
  // Logits from the groups' sums: begins at kRootValue, one group after the other.
  static uint64_t fold(uint64_t logits, uint64_t sum) { return mix64(logits ^ sum); }
  // One in 32 ends the answer.
  int32_t sample(uint64_t logits, uint64_t seed) const;
};

class TokenChain {
 public:
  explicit TokenChain(const FakeModel& model) : model_(&model), sums_{0} {}

  void append(int32_t token);
  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }
  int32_t token(int64_t position) const { return tokens_[static_cast<size_t>(position)]; }
  uint64_t value(int64_t position) const { return values_[static_cast<size_t>(position)]; }
  // Of the last position.
  uint64_t logits() const;
  const std::vector<int32_t>& tokens() const { return tokens_; }

 private:
  const FakeModel* model_;
  std::vector<int32_t> tokens_;
  std::vector<uint64_t> values_;
  std::vector<uint64_t> sums_;  // [position]: of the terms before it
};

}  // namespace tern
