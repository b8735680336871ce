// Weights in E2M1 (4-bit floats), two a byte, the even column in the low nibble, of a module with K inputs and N
// outputs:
//   mxfp4  weight_packed U8 [N, K / 2], weight_scale U8 [N, K / 32]: exponents E8M0. Or, with experts in front as
//   gpt-oss
//          has them, NAME_blocks U8 [experts, N, K / 32, 16] and NAME_scales U8 [experts, N, K / 32]. Becomes mxfp4.
//   nvfp4  weight_packed U8 [N, K / 2], weight_scale F8_E4M3 [N, K / 16], weight_global_scale F32 [1]: w = code * scale
//   /
//          global. Becomes bf16, rounded once: no format here has a scale of its own for 16 columns and one for all.
#include <fmt/core.h>

#include <cmath>
#include <cstring>

#include "core/fp8.h"
#include "core/half.h"
#include "formats/quantized/matrix.h"
#include "quant/mxfp4.h"

namespace tern {
namespace {

constexpr int64_t kMxBlock = 32, kNvBlock = 16;

class Mxfp4Matrix final : public QuantizedMatrix {
 public:
  Mxfp4Matrix(std::string matrix_name, std::vector<int64_t> matrix_shape, const StoredTensor& codes,
              const StoredTensor& scales)
      : QuantizedMatrix(std::move(matrix_name), std::move(matrix_shape)), codes_(codes), scales_(scales) {}

  Format format() const override { return Format::kMXFP4; }
  std::string meaning() const override { return "e2m1, a power of two for 32"; }

  bool encode(int64_t begin, int64_t end, std::byte* out) const override {
    const int64_t first = begin * cols() / kMxBlock, last = end * cols() / kMxBlock;
    for (int64_t i = first; i < last; ++i, out += sizeof(BlockMXFP4)) {
      const auto* pairs = reinterpret_cast<const uint8_t*>(codes_.data.data()) + i * 16;
      const auto code = [&](int k) { return pairs[k / 2] >> (k % 2 * 4) & 15; };
      BlockMXFP4 block{static_cast<uint8_t>(scales_.data[static_cast<size_t>(i)]), {}};
      for (int k = 0; k < 16; ++k) block.qs[k] = static_cast<uint8_t>(code(k) | code(k + 16) << 4);
      std::memcpy(out, &block, sizeof block);
    }
    return true;
  }

 private:
  const StoredTensor &codes_, &scales_;
};

class Nvfp4Matrix final : public QuantizedMatrix {
 public:
  Nvfp4Matrix(std::string matrix_name, const StoredTensor& codes, const StoredTensor& scales, float divisor)
      : QuantizedMatrix(std::move(matrix_name), {codes.shape[0], codes.shape[1] * 2}),
        codes_(codes),
        scales_(scales),
        divisor_(divisor) {}

  Format format() const override { return Format::kBF16; }
  std::string meaning() const override { return "e2m1, a scale for 16 in e4m3"; }

  bool encode(int64_t begin, int64_t end, std::byte* out) const override {
    bool numbers = true;
    for (int64_t i = begin * cols() / kNvBlock; i < end * cols() / kNvBlock; ++i) {
      const float scale = f32_from_e4m3(static_cast<uint8_t>(scales_.data[static_cast<size_t>(i)])) / divisor_;
      numbers &= std::isfinite(scale);
      for (int64_t k = 0; k < kNvBlock; ++k, out += 2) {
        const auto pair = static_cast<uint8_t>(codes_.data[static_cast<size_t>((i * kNvBlock + k) / 2)]);
        const float code = 0.5f * static_cast<float>(kMxfp4Doubled[pair >> (k % 2 * 4) & 15]);
        const uint16_t bits = bf16_from_f32(code * scale);
        std::memcpy(out, &bits, sizeof bits);
      }
    }
    return numbers;
  }

 private:
  const StoredTensor &codes_, &scales_;
  float divisor_;
};

}  // namespace

std::unique_ptr<QuantizedMatrix> read_fp4(const ModuleTensors& module, const Metadata&) {
  if (module.stored("_blocks") != nullptr) {
    const StoredTensor& codes = module.stored("_blocks", "U8", {-1, -1, -1, 16});
    const auto& dims = codes.shape;
    const StoredTensor& scales = module.stored("_scales", "U8", {dims[0], dims[1], dims[2]});
    return std::make_unique<Mxfp4Matrix>(module.module(), std::vector<int64_t>{dims[0], dims[1], dims[2] * kMxBlock},
                                         codes, scales);
  }
  const StoredTensor* packed = module.stored(".weight_packed");
  if (packed == nullptr || packed->dtype != "U8") return nullptr;
  const StoredTensor& codes = module.stored(".weight_packed", "U8", {-1, -1});
  const int64_t rows = codes.shape[0], cols = codes.shape[1] * 2;
  const StoredTensor* scales = module.stored(".weight_scale");
  if (scales != nullptr && scales->dtype == "F8_E4M3") {
    if (cols % kNvBlock != 0) module.refuse(fmt::format("{} inputs are not whole blocks of {}", cols, kNvBlock));
    module.stored(".weight_scale", "F8_E4M3", {rows, cols / kNvBlock});
    const TensorInfo& global = module.tensor(".weight_global_scale", {1});
    float divisor;
    format_info(global.format).decode(global.data.data(), 1, &divisor);
    return std::make_unique<Nvfp4Matrix>(module.module() + ".weight", codes, *scales, divisor);
  }
  if (cols % kMxBlock != 0) module.refuse(fmt::format("{} inputs are not whole blocks of {}", cols, kMxBlock));
  return std::make_unique<Mxfp4Matrix>(module.module() + ".weight", std::vector<int64_t>{rows, cols}, codes,
                                       module.stored(".weight_scale", "U8", {rows, cols / kMxBlock}));
}

}  // namespace tern
