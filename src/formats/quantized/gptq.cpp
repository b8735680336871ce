// GPTQ files, of 2, 3, 4 and 8 bits (AutoGPTQ, GPTQModel). Of a module with K inputs and N outputs, codes lying along
// the inputs and zeros along the outputs in words of 32 bits without gaps:
//   qweight I32 [K bits / 32, N]   qzeros I32 [groups, N bits / 32]   scales F16 [groups, N]   g_idx I32 [K]
// Files of version 1 (checkpoint_format "gptq", or none) hold each zero less one, modulo 2^bits; version 2
// ("gptq_v2") the zero itself.
#include <fmt/core.h>

#include "formats/quantized/integers.h"

namespace tern {
namespace {

class GptqStorage final : public IntegerStorage {
 public:
  GptqStorage(const IntegerShape& shape, const StoredTensor& codes, const StoredTensor& zeros, int plus)
      : rows_(shape.rows), cols_(shape.cols), bits_(shape.bits), codes_(codes), zeros_(zeros), plus_(plus) {}

  void codes(int64_t begin, int64_t end, uint8_t* codes) const override {
    for (int64_t k = 0; k < cols_; ++k) {
      for (int64_t row = begin; row < end; ++row) {
        codes[(row - begin) * cols_ + k] = static_cast<uint8_t>(field_at(codes_.data, row, rows_, k * bits_, bits_));
      }
    }
  }
  int zero(int64_t row, int64_t group) const override {
    const int64_t first = group * zeros_.shape[1];
    return (field_at(zeros_.data, first, 1, row * bits_, bits_) + plus_) & ((1 << bits_) - 1);
  }

 private:
  int64_t rows_, cols_;
  int bits_;
  const StoredTensor &codes_, &zeros_;
  int plus_;
};

}  // namespace

std::unique_ptr<QuantizedMatrix> read_gptq(const ModuleTensors& module, const Metadata& config) {
  if (module.stored(".qweight") == nullptr) return nullptr;
  const TensorInfo& scales = module.tensor(".scales", {-1, -1});
  const int64_t groups = scales.shape[0];
  IntegerShape shape;
  shape.rows = scales.shape[1];
  const StoredTensor& codes = module.stored(".qweight", "I32", {-1, shape.rows});
  const int64_t words = codes.shape[0];
  const int64_t said = config.integer("quantization_config.bits", 2, 8);
  // Modules of other widths than the model's (GPTQModel's "dynamic") tell by their shapes.
  shape.cols = module.has(".g_idx") ? module.stored(".g_idx", "I32", {-1}).shape[0] : words * 32 / said;
  const int64_t bits = words * 32 / shape.cols;
  if ((bits != 2 && bits != 3 && bits != 4 && bits != 8) || words * 32 != shape.cols * bits) {
    module.refuse(
        fmt::format(".qweight: {} words for {} inputs are not codes of 2, 3, 4 or 8 bits", words, shape.cols));
  }
  shape.bits = static_cast<int>(bits);
  const int64_t group_size = config.integer_or("quantization_config.group_size", -1, -1, INT32_MAX);
  shape.group = groups == 1 ? shape.cols : group_size > 0 ? group_size : (shape.cols + groups - 1) / groups;
  if (shape.groups() != groups) {
    module.refuse(fmt::format(".scales: {} groups, and {} inputs in groups of {} make {}", groups, shape.cols,
                              shape.group, shape.groups()));
  }
  if (module.has(".g_idx")) {
    shape.group_of = groups_apart(module, module.stored(".g_idx", "I32", {shape.cols}), groups, shape.group);
  }
  const StoredTensor& zeros = module.stored(".qzeros", "I32", {groups, (shape.rows * bits + 31) / 32});
  const bool second = config.string_or("quantization_config.checkpoint_format", "gptq") == "gptq_v2";
  auto storage = std::make_unique<GptqStorage>(shape, codes, zeros, second ? 0 : 1);
  return integer_matrix(module.module() + ".weight", std::move(shape), scales, true, std::move(storage));
}

}  // namespace tern
