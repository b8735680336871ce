// A model with the shape of a real one and random weights: for measuring speed and memory at any size without a
// download, and for tests of whole models.
//
// It is a GGUF file that need not exist: open() makes its bytes in anonymous memory and reads them as any file,
// write() streams the same bytes to a file that other programs load too. The bytes are a function of (facts, type,
// seed) alone, not of threads. Weights keep the size of activations through all layers: each product of a normalized
// row has deviation 1, what is added to the residual stream shrinks with the number of layers, norms are near 1.
// Immutable after construction.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "formats/checkpoint.h"
#include "formats/gguf_writer.h"
#include "model/program.h"
#include "model/synthetic/spec.h"
#include "model/synthetic/tensor_types.h"

namespace tern {

class SyntheticModel {
 public:
  // Throws bad-input lines for an unknown CONFIG or TYPE, and for facts that no key is written for.
  explicit SyntheticModel(const SyntheticSpec& spec);

  // Without weights the tensors read as zeros and take no memory: for what only looks at the facts.
  std::shared_ptr<const Checkpoint> open(bool with_weights, int threads) const;
  void write(const std::string& path, int threads) const;
  uint64_t file_bytes() const { return layout_.file_bytes(); }
  const ModelConfig& config() const { return facts_.config; }

 private:
  struct Tensor {
    Format format;
    uint64_t seed;
    uint64_t bytes;
    double deviation;
    float mean;                 // f32 only
    std::vector<float> values;  // given instead of drawn
  };
  void add(const std::string& name, std::vector<int64_t> shape, Format format, double deviation, float mean = 0);
  void add_matrix(const WeightUse& use, double deviation);
  void add_op(const Op& op);
  void add_rope_factors();
  std::string name_of_tensor(const WeightUse& use) const;
  void write_vocabulary();
  void check_facts() const;  // throws a bad-input line where the file says other facts than CONFIG
  void fill(const Tensor& tensor, uint64_t begin, std::span<std::byte> out, const Team& team) const;

  SyntheticSpec spec_;
  const TypeMix* mix_;
  SyntheticFacts facts_;
  GgufLayout layout_;
  std::map<Role, int64_t> shared_rows_;
  std::vector<Tensor> tensors_;
};

}  // namespace tern
