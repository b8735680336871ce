// Roles to tensors: finds each weight of a program in a checkpoint and checks its shape against what the program says.
#pragma once

#include <vector>

#include "formats/checkpoint.h"
#include "model/config.h"
#include "model/program.h"

namespace tern {

class WeightMap {
 public:
  explicit WeightMap(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {}

  // Throws a bad-input line naming the tensor when it is absent or of another shape than `use` says.
  const TensorInfo& tensor(const WeightUse& use) const;
  // A vector (norm weight, bias) as f32.
  std::vector<float> vector(const WeightUse& use) const;
  // Every weight of the program is there and has its shape.
  void check(const Program& program) const;
  const Checkpoint& checkpoint() const { return checkpoint_; }

 private:
  const Checkpoint& checkpoint_;
};

// Decoded to f32, all elements.
std::vector<float> decode_tensor(const TensorInfo& tensor);

// What RopeScaling::kFactors divides frequencies by; empty with any other scaling.
std::vector<float> rope_factors(const Checkpoint& checkpoint, const RopeConfig& rope);

// Weight bytes that one decoded token reads: every matrix of the program once, an untied embedding only its row.
uint64_t weight_bytes_per_token(const Program& program, const WeightMap& weights);

}  // namespace tern
