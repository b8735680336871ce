// Weights in F8_E4M3 with scales beside them, of a module with K inputs and N outputs: weight F8_E4M3 [N, K] and
//   weight_scale_inv [N / block, K / block], both rounded up: blocks of 128 x 128, a factor in spite of its name
//   weight_scale     [1] or no dimension, [N] or [N, 1], or in blocks as above
// (DeepSeek and Qwen "fp8"; compressed-tensors float-quantized). Experts of one tensor have one dimension more in front
// of both. Encoded as f8_e4m3 blocks, exactly; as bf16, rounded once, where rows are not whole blocks of 32.
#include <fmt/core.h>

#include <cmath>
#include <cstring>

#include "core/fp8.h"
#include "core/half.h"
#include "formats/quantized/matrix.h"
#include "quant/f8_e4m3.h"

namespace tern {
namespace {

constexpr int64_t kBlock = 32;

// How scales lie over the rows of all experts and the columns.
struct ScaleGrid {
  int64_t rows_a_scale = 1, cols_a_scale = 1;
  int64_t rows_of_scales = 1, cols_of_scales = 1;  // of one expert
};

class Fp8Matrix final : public QuantizedMatrix {
 public:
  Fp8Matrix(std::string matrix_name, const StoredTensor& codes, const TensorInfo& scales, const ScaleGrid& grid)
      : QuantizedMatrix(std::move(matrix_name), codes.shape), codes_(codes), scales_(scales), grid_(grid) {}

  Format format() const override {
    return cols() % kBlock == 0 && grid_.cols_a_scale % kBlock == 0 ? Format::kF8E4M3 : Format::kBF16;
  }
  std::string meaning() const override {
    if (scales_.elements() == 1) return "e4m3, one scale";
    if (grid_.rows_a_scale == 1) return "e4m3, a scale a row";
    return fmt::format("e4m3, a scale for {} x {}", grid_.rows_a_scale, grid_.cols_a_scale);
  }
  int64_t scale_rows() const override { return grid_.rows_a_scale; }
  int64_t scale_cols() const override { return grid_.cols_a_scale; }

  bool encode(int64_t begin, int64_t end, std::byte* out) const override {
    bool numbers = true;
    for (int64_t row = begin; row < end; ++row) {
      const auto* codes = reinterpret_cast<const uint8_t*>(codes_.data.data()) + row * cols();
      for (int64_t k = 0; k < cols(); ++k) numbers &= (codes[k] & 0x7f) != 0x7f;
      out =
          format() == Format::kF8E4M3 ? encode_blocks(row, codes, out, numbers) : encode_bf16(row, codes, out, numbers);
    }
    return numbers;
  }

 private:
  float scale(int64_t row, int64_t column) const {
    const int64_t expert_rows = shape[shape.size() - 2], expert = row / expert_rows;
    const int64_t in_expert = expert * grid_.rows_of_scales + row % expert_rows / grid_.rows_a_scale;
    const int64_t at = scales_.elements() == 1 ? 0 : in_expert * grid_.cols_of_scales + column / grid_.cols_a_scale;
    const FormatInfo& info = format_info(scales_.format);
    float value;
    info.decode(scales_.data.data() + at * info.block_bytes, 1, &value);
    return value;
  }
  std::byte* encode_blocks(int64_t row, const uint8_t* codes, std::byte* out, bool& numbers) const {
    for (int64_t k = 0; k < cols(); k += kBlock, out += sizeof(BlockF8E4M3)) {
      BlockF8E4M3 block{scale(row, k), {}};
      numbers &= std::isfinite(block.d);
      std::memcpy(block.qs, codes + k, sizeof block.qs);
      std::memcpy(out, &block, sizeof block);
    }
    return out;
  }
  std::byte* encode_bf16(int64_t row, const uint8_t* codes, std::byte* out, bool& numbers) const {
    for (int64_t k = 0; k < cols(); ++k, out += 2) {
      const float factor = scale(row, k);
      numbers &= std::isfinite(factor);
      const uint16_t bits = bf16_from_f32(factor * f32_from_e4m3(codes[k]));
      std::memcpy(out, &bits, sizeof bits);
    }
    return out;
  }

  const StoredTensor& codes_;
  const TensorInfo& scales_;
  ScaleGrid grid_;
};

// The edge of a block along a dimension of `length` of which there are `scales`: what the configuration says where it
// fits.
int64_t block_edge(const ModuleTensors& module, int64_t said, int64_t length, int64_t scales) {
  if (scales == 1) return length;
  if (scales == length) return 1;
  if (said <= 0 || (length + said - 1) / said != scales) {
    module.refuse(fmt::format("{} scales for {} are not blocks of {}", scales, length, said));
  }
  return said;
}

ScaleGrid grid_of(const ModuleTensors& module, const Metadata& config, const StoredTensor& codes,
                  const TensorInfo& scales) {
  const size_t dims = codes.shape.size();
  const int64_t rows = codes.shape[dims - 2], cols = codes.shape[dims - 1];
  if (scales.elements() == 1) return {rows, cols, 1, 1};
  if (dims == 2 && scales.shape.size() == 1 && scales.shape[0] == rows) return {1, cols, rows, 1};
  bool fits = scales.shape.size() == dims;
  for (size_t i = 0; fits && i + 2 < dims; ++i) fits = scales.shape[i] == codes.shape[i];
  if (!fits) module.refuse("the scales have other dimensions than the weight");
  const auto sides = config.has("quantization_config.weight_block_size")
                         ? config.integers("quantization_config.weight_block_size")
                         : std::vector<int64_t>{128, 128};
  if (sides.size() != 2) config.refuse("quantization_config.weight_block_size", "is not two numbers");
  ScaleGrid grid;
  grid.rows_of_scales = scales.shape[dims - 2];
  grid.cols_of_scales = scales.shape[dims - 1];
  grid.rows_a_scale = block_edge(module, sides[0], rows, grid.rows_of_scales);
  grid.cols_a_scale = block_edge(module, sides[1], cols, grid.cols_of_scales);
  return grid;
}

}  // namespace

std::unique_ptr<QuantizedMatrix> read_fp8(const ModuleTensors& module, const Metadata& config) {
  const StoredTensor* weight = module.stored(".weight");
  if (weight == nullptr || weight->dtype != "F8_E4M3") return nullptr;
  if (weight->shape.size() < 2 || weight->shape.size() > 3) module.refuse(".weight is neither a matrix nor several");
  const TensorInfo* scales = module.tensor(".weight_scale_inv");
  if (scales == nullptr) scales = module.tensor(".weight_scale");
  if (scales == nullptr) module.refuse(".weight is F8_E4M3, and neither .weight_scale_inv nor .weight_scale is there");
  return std::make_unique<Fp8Matrix>(module.module() + ".weight", *weight, *scales,
                                     grid_of(module, config, *weight, *scales));
}

}  // namespace tern
