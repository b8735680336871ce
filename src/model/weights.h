// Roles to tensors: finds each weight of a program in a checkpoint and checks its shape against what the program says.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "formats/checkpoint.h"
#include "model/config.h"
#include "model/program.h"

namespace tern {

class WeightMap {
 public:
  explicit WeightMap(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {}

  // Of rows of a larger tensor (use.first_row) a view of those. Throws a bad-input line naming the tensor when it is
  // absent or of another shape than `use` says.
  const TensorInfo& tensor(const WeightUse& use) const;
  // Of expert `expert` of a use that names several.
  const TensorInfo& expert(const WeightUse& use, int64_t expert) const;
  // A vector (norm weight, bias) as f32; of expert `expert` of a use that names several.
  std::vector<float> vector(const WeightUse& use, int64_t expert = 0) const;
  // Every weight of the program is there and has its shape.
  void check(const Program& program) const;
  const Checkpoint& checkpoint() const { return checkpoint_; }

 private:
  void check_use(const WeightUse& use) const;
  void check_shape(const TensorInfo& tensor, const WeightUse& use) const;
  const TensorInfo& rows_of(const TensorInfo& whole, const WeightUse& use) const;
  const TensorInfo& found(const std::string& name, const WeightUse& use) const;
  std::vector<float> bias_rows(const WeightUse& use) const;

  const Checkpoint& checkpoint_;
  // Views of rows, by tensor, first row and number of rows: whoever asked first made them. One thread.
  mutable std::map<std::tuple<std::string_view, int64_t, int64_t>, TensorInfo> rows_;
  struct Rearranged {
    TensorInfo tensor;
    std::vector<std::byte> data;
  };
  mutable std::map<std::string, Rearranged> rearranged_;  // by tensor and first output
};

// Decoded to f32, all elements.
std::vector<float> decode_tensor(const TensorInfo& tensor);

// What kFactors, or kLong for sequences of up to `positions`, divides frequencies by; empty with any other scaling.
std::vector<float> rope_factors(const Checkpoint& checkpoint, const RopeConfig& rope, int64_t positions);

// Weight bytes that one decoded token reads: every matrix of the program once, an untied embedding only its row.
uint64_t weight_bytes_per_token(const Program& program, const WeightMap& weights);

}  // namespace tern
