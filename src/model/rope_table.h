// Cosines and sines of rotary positions, for every scaling that RopeConfig names.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/config.h"

namespace tern {

// Angle per position of each pair: [dims / 2]. `factors` is the weight rope_freqs for kFactors, else empty.
std::vector<float> rope_frequencies(const RopeConfig& rope, std::span<const float> factors);

struct RopeTable {
  std::vector<float> cos, sin;  // [positions, dims / 2]
};
RopeTable rope_table(const RopeConfig& rope, std::span<const float> factors, int64_t positions);

// The same table as far as sequences have come: a start computes nothing, and what no sequence reaches takes no memory.
// Room for `most` positions is reserved, so that the table never moves. One thread grows it, while nobody reads.
class GrowingRopeTable {
 public:
  GrowingRopeTable() = default;
  GrowingRopeTable(const RopeConfig& rope, std::span<const float> factors, int64_t most);
  void cover(int64_t positions);  // at most `most`
  const RopeTable& table() const { return table_; }
  uint64_t most_floats() const { return table_.cos.capacity() + table_.sin.capacity(); }

 private:
  RopeTable table_;
  std::vector<float> frequencies_;
  double factor_ = 1;  // RopeConfig::attention_factor
  int64_t covered_ = 0;
};

}  // namespace tern
