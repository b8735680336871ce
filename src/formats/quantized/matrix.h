// One matrix of a quantized checkpoint: how the tensors that make it up become rows of one of tern's formats. Internal
// to formats.
//
// Made by the reader of a method (gptq.cpp, awq.cpp, ...) once its tensors are there and agree; const afterwards, any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "formats/checkpoint.h"

namespace tern {

class QuantizedMatrix {
 public:
  QuantizedMatrix(std::string matrix_name, std::vector<int64_t> matrix_shape)
      : name(std::move(matrix_name)), shape(std::move(matrix_shape)) {}
  virtual ~QuantizedMatrix() = default;

  const std::string name;            // "model.layers.0.mlp.up_proj.weight"
  const std::vector<int64_t> shape;  // outermost first; columns are inputs
  int64_t cols() const { return shape.back(); }
  int64_t rows() const;

  // What rows are encoded as, and in words why: "4 bits, groups of 128".
  virtual Format format() const = 0;
  virtual std::string meaning() const = 0;
  // Rows [begin, end) in that format. False when a value is not a number.
  virtual bool encode(int64_t begin, int64_t end, std::byte* out) const = 0;
  // As TensorInfo's.
  virtual int64_t scale_rows() const { return 1; }
  virtual int64_t scale_cols() const { return 0; }
};

// The tensors of one module of a checkpoint, looked up with checks; `module` is their names' beginning.
class ModuleTensors {
 public:
  ModuleTensors(const Checkpoint& checkpoint, std::string module)
      : checkpoint_(checkpoint), module_(std::move(module)) {}

  const std::string& module() const { return module_; }
  // Null when there is none of that name.
  const StoredTensor* stored(const char* suffix) const { return checkpoint_.find_stored(module_ + suffix); }
  const TensorInfo* tensor(const char* suffix) const { return checkpoint_.find(module_ + suffix); }
  bool has(const char* suffix) const { return checkpoint_.holds(module_ + suffix); }

  // Refuses one that is absent, of another type or of another shape. A dimension of -1 may be anything.
  const StoredTensor& stored(const char* suffix, const char* dtype, std::vector<int64_t> shape) const;
  const TensorInfo& tensor(const char* suffix, std::vector<int64_t> shape) const;  // F32, F16 or BF16
  [[noreturn]] void refuse(const std::string& reason) const;

 private:
  void check_shape(const char* suffix, const std::vector<int64_t>& is, const std::vector<int64_t>& wanted) const;

  const Checkpoint& checkpoint_;
  std::string module_;
};

// Integer elements of a stored tensor, whatever the alignment of the file.
inline uint32_t word_at(std::span<const std::byte> data, int64_t index) {
  uint32_t word;
  __builtin_memcpy(&word, data.data() + index * 4, sizeof word);
  return word;
}

// Every reader: the matrix that `module`'s tensors are, or null when they are nothing of its method.
using QuantizedReader = std::unique_ptr<QuantizedMatrix> (*)(const ModuleTensors& module, const Metadata& config);
std::unique_ptr<QuantizedMatrix> read_gptq(const ModuleTensors& module, const Metadata& config);
std::unique_ptr<QuantizedMatrix> read_awq(const ModuleTensors& module, const Metadata& config);
std::unique_ptr<QuantizedMatrix> read_packed(const ModuleTensors& module, const Metadata& config);
std::unique_ptr<QuantizedMatrix> read_int8(const ModuleTensors& module, const Metadata& config);
std::unique_ptr<QuantizedMatrix> read_fp8(const ModuleTensors& module, const Metadata& config);
std::unique_ptr<QuantizedMatrix> read_fp4(const ModuleTensors& module, const Metadata& config);

}  // namespace tern
