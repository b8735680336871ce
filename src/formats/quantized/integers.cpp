#include "formats/quantized/integers.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/half.h"
#include "quant/format.h"
#include "quant/q4_0.h"
#include "quant/q8_0.h"
#include "quant/u4_zero.h"

namespace tern {
namespace {

constexpr int64_t kBlock = 32;
constexpr int64_t kTileRows = 64;  // unpacked together: neighbouring rows share words, or cache lines of words

class IntegerMatrix final : public QuantizedMatrix {
 public:
  IntegerMatrix(std::string matrix_name, IntegerShape facts, const TensorInfo& scales, bool by_group,
                std::unique_ptr<IntegerStorage> storage)
      : QuantizedMatrix(std::move(matrix_name), {facts.rows, facts.cols}),
        facts_(std::move(facts)),
        scales_(scales),
        by_group_(by_group),
        storage_(std::move(storage)) {
    format_ = choose();
  }

  Format format() const override { return format_; }
  std::string meaning() const override;
  bool encode(int64_t begin, int64_t end, std::byte* out) const override;

 private:
  Format choose() const;
  float scale(int64_t row, int64_t group) const;
  bool encode_row(int64_t row, const uint8_t* codes, std::byte* out) const;
  void encode_block(int64_t row, int64_t group, const uint8_t* codes, std::byte* out) const;

  IntegerShape facts_;
  const TensorInfo& scales_;
  bool by_group_;
  std::unique_ptr<IntegerStorage> storage_;
  Format format_;
};

float IntegerMatrix::scale(int64_t row, int64_t group) const {
  const int64_t in_order = by_group_ ? group * facts_.rows + row : row * facts_.groups() + group;
  const int64_t at = scales_.elements() == 1 ? 0 : in_order;
  const FormatInfo& info = format_info(scales_.format);
  float value;
  info.decode(scales_.data.data() + at * info.block_bytes, 1, &value);
  return value;
}

Format IntegerMatrix::choose() const {
  bool exact = facts_.group_of.empty() && facts_.cols % kBlock == 0 &&
               (facts_.group % kBlock == 0 || facts_.group >= facts_.cols);
  int least_zero = 256, most_zero = 0;
  for (int64_t row = 0; row < facts_.rows && exact; ++row) {
    for (int64_t group = 0; group < facts_.groups(); ++group) {
      const int zero = storage_->zero(row, group);
      least_zero = std::min(least_zero, zero);
      most_zero = std::max(most_zero, zero);
      if (scales_.format == Format::kF16) continue;
      const float value = scale(row, group);
      exact &= f32_from_f16(f16_from_f32(value)) == value;
    }
  }
  const int most_code = (1 << facts_.bits) - 1;
  const auto within = [&](int below, int above) { return most_zero <= below && most_code - least_zero <= above; };
  if (exact && facts_.bits <= 4) return within(8, 7) ? Format::kQ4_0 : Format::kU4Zero;
  if (exact && within(128, 127)) return Format::kQ8_0;
  return scales_.format == Format::kF16 ? Format::kF16 : Format::kBF16;
}

std::string IntegerMatrix::meaning() const {
  std::string text = fmt::format("{} bits", facts_.bits);
  text += facts_.group >= facts_.cols ? ", a scale a row" : fmt::format(", groups of {}", facts_.group);
  return facts_.group_of.empty() ? text : text + " in another order";
}

void IntegerMatrix::encode_block(int64_t row, int64_t group, const uint8_t* codes, std::byte* out) const {
  const uint16_t d = f16_from_f32(scale(row, group));
  const int zero = storage_->zero(row, group);
  if (format_ == Format::kQ8_0) {
    BlockQ8_0 block{d, {}};
    for (int k = 0; k < kBlock; ++k) block.qs[k] = static_cast<int8_t>(codes[k] - zero);
    std::memcpy(out, &block, sizeof block);
    return;
  }
  const int shift = format_ == Format::kQ4_0 ? 8 - zero : 0;
  uint8_t qs[16];
  for (int k = 0; k < 16; ++k) {
    qs[k] = static_cast<uint8_t>((codes[k] + shift) | (codes[k + 16] + shift) << 4);
  }
  if (format_ == Format::kQ4_0) {
    BlockQ4_0 block{d, {}};
    std::memcpy(block.qs, qs, sizeof qs);
    std::memcpy(out, &block, sizeof block);
  } else {
    BlockU4Zero block{d, f16_from_f32(static_cast<float>(-zero)), {}};
    std::memcpy(block.qs, qs, sizeof qs);
    std::memcpy(out, &block, sizeof block);
  }
}

bool IntegerMatrix::encode_row(int64_t row, const uint8_t* codes, std::byte* out) const {
  const FormatInfo& info = format_info(format_);
  for (int64_t group = 0; group < facts_.groups(); ++group) {
    if (!std::isfinite(scale(row, group))) return false;
  }
  if (info.block_elements == kBlock) {
    for (int64_t k = 0; k < facts_.cols; k += kBlock, out += info.block_bytes) {
      encode_block(row, k / facts_.group, codes + k, out);
    }
    return true;
  }
  std::vector<float> scales(static_cast<size_t>(facts_.groups()));
  std::vector<int> zeros(scales.size());
  for (size_t g = 0; g < scales.size(); ++g) {
    scales[g] = scale(row, static_cast<int64_t>(g));
    zeros[g] = storage_->zero(row, static_cast<int64_t>(g));
  }
  for (int64_t k = 0; k < facts_.cols; ++k, out += 2) {
    const auto g =
        static_cast<size_t>(facts_.group_of.empty() ? k / facts_.group : facts_.group_of[static_cast<size_t>(k)]);
    const float value = scales[g] * static_cast<float>(codes[k] - zeros[g]);
    const uint16_t bits = format_ == Format::kF16 ? f16_from_f32(value) : bf16_from_f32(value);
    std::memcpy(out, &bits, sizeof bits);
  }
  return true;
}

bool IntegerMatrix::encode(int64_t begin, int64_t end, std::byte* out) const {
  const FormatInfo& info = format_info(format_);
  const int64_t row_bytes = facts_.cols / info.block_elements * info.block_bytes;
  std::vector<uint8_t> codes(static_cast<size_t>(std::min(kTileRows, end - begin) * facts_.cols));
  bool numbers = true;
  for (int64_t first = begin; first < end; first += kTileRows) {
    const int64_t last = std::min(first + kTileRows, end);
    storage_->codes(first, last, codes.data());
    for (int64_t row = first; row < last; ++row, out += row_bytes) {
      numbers &= encode_row(row, codes.data() + (row - first) * facts_.cols, out);
    }
  }
  return numbers;
}

}  // namespace

std::vector<int32_t> groups_apart(const ModuleTensors& module, const StoredTensor& g_idx, int64_t groups,
                                  int64_t group) {
  std::vector<int32_t> group_of(static_cast<size_t>(g_idx.shape[0]));
  bool neighbours = true;
  for (size_t k = 0; k < group_of.size(); ++k) {
    const auto g = static_cast<int32_t>(word_at(g_idx.data, static_cast<int64_t>(k)));
    if (g < 0 || g >= groups) {
      module.refuse(fmt::format(".g_idx: group {} of input {} is not in [0, {})", g, k, groups));
    }
    group_of[k] = g;
    neighbours &= g == static_cast<int64_t>(k) / group;
  }
  return neighbours ? std::vector<int32_t>() : group_of;
}

std::unique_ptr<QuantizedMatrix> integer_matrix(std::string name, IntegerShape shape, const TensorInfo& scales,
                                                bool scales_by_group, std::unique_ptr<IntegerStorage> storage) {
  return std::make_unique<IntegerMatrix>(std::move(name), std::move(shape), scales, scales_by_group,
                                         std::move(storage));
}

}  // namespace tern
