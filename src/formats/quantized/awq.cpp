// AWQ files of AutoAWQ's "gemm" version, 4 bits. Of a module with K inputs and N outputs:
//   qweight I32 [K, N / 8]   qzeros I32 [groups, N / 8]   scales F16 [groups, N]
// A word holds eight neighbouring outputs, its nibbles from the lowest on those numbered 0, 2, 4, 6, 1, 3, 5, 7.
#include <fmt/core.h>

#include <array>

#include "formats/quantized/integers.h"

namespace tern {
namespace {

constexpr int64_t kOutputs = 8;                                            // of a word
constexpr std::array<int, kOutputs> kNibbleOf = {0, 4, 1, 5, 2, 6, 3, 7};  // of output i

class AwqStorage final : public IntegerStorage {
 public:
  AwqStorage(const IntegerShape& shape, const StoredTensor& codes, const StoredTensor* zeros)
      : words_(shape.rows / kOutputs), cols_(shape.cols), codes_(codes), zeros_(zeros) {}

  void codes(int64_t begin, int64_t end, uint8_t* codes) const override {
    for (int64_t k = 0; k < cols_; ++k) {
      for (int64_t row = begin; row < end; ++row) {
        codes[(row - begin) * cols_ + k] = static_cast<uint8_t>(nibble(codes_, k, row));
      }
    }
  }
  int zero(int64_t row, int64_t group) const override { return zeros_ == nullptr ? 8 : nibble(*zeros_, group, row); }

 private:
  int nibble(const StoredTensor& tensor, int64_t line, int64_t output) const {
    const uint32_t word = word_at(tensor.data, line * words_ + output / kOutputs);
    return static_cast<int>(word >> (4 * kNibbleOf[static_cast<size_t>(output % kOutputs)]) & 15);
  }

  int64_t words_, cols_;
  const StoredTensor& codes_;
  const StoredTensor* zeros_;
};

}  // namespace

std::unique_ptr<QuantizedMatrix> read_awq(const ModuleTensors& module, const Metadata&) {
  if (module.stored(".qweight") == nullptr) return nullptr;
  const TensorInfo& scales = module.tensor(".scales", {-1, -1});
  const int64_t groups = scales.shape[0];
  IntegerShape shape;
  shape.rows = scales.shape[1];
  if (shape.rows % kOutputs != 0) module.refuse(fmt::format("{} outputs are not whole words of eight", shape.rows));
  const StoredTensor& codes = module.stored(".qweight", "I32", {-1, shape.rows / kOutputs});
  shape.cols = codes.shape[0];
  shape.group = (shape.cols + groups - 1) / groups;
  if (shape.cols % groups != 0) {
    module.refuse(fmt::format(".scales: {} inputs are not {} groups of equal length", shape.cols, groups));
  }
  const StoredTensor* zeros =
      module.stored(".qzeros") == nullptr ? nullptr : &module.stored(".qzeros", "I32", {groups, shape.rows / kOutputs});
  auto storage = std::make_unique<AwqStorage>(shape, codes, zeros);
  return integer_matrix(module.module() + ".weight", std::move(shape), scales, true, std::move(storage));
}

}  // namespace tern
