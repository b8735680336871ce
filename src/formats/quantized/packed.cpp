// compressed-tensors' integers, of a module with K inputs and N outputs.
//
// pack-quantized, up to 8 bits, codes of a row and of a group's zeros in 32-bit words without gaps:
//   weight_packed I32 [N, K bits / 32]   weight_scale [N, groups]   weight_shape I64 [2]
//   weight_zero_point I32 [N bits / 32, groups], packed along N, of asymmetric ones   weight_g_idx I32 [K]
// int-quantized, 8 bits: weight I8 [N, K], weight_scale [N, groups] or one for all, weight_zero_point I8 likewise.
#include <fmt/core.h>

#include "formats/quantized/integers.h"

namespace tern {
namespace {

class PackedStorage final : public IntegerStorage {
 public:
  PackedStorage(const IntegerShape& shape, const StoredTensor& codes, const StoredTensor* zeros)
      : cols_(shape.cols), groups_(shape.groups()), bits_(shape.bits), codes_(codes), zeros_(zeros) {}

  void codes(int64_t begin, int64_t end, uint8_t* codes) const override {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t k = 0; k < cols_; ++k) {
        *codes++ = static_cast<uint8_t>(field_at(codes_.data, row * codes_.shape[1], 1, k * bits_, bits_));
      }
    }
  }
  int zero(int64_t row, int64_t group) const override {
    if (zeros_ == nullptr) return 1 << (bits_ - 1);
    return field_at(zeros_->data, group, groups_, row * bits_, bits_);
  }

 private:
  int64_t cols_, groups_;
  int bits_;
  const StoredTensor& codes_;
  const StoredTensor* zeros_;
};

// Signed bytes, counted from 128 up.
class ByteStorage final : public IntegerStorage {
 public:
  ByteStorage(const IntegerShape& shape, const StoredTensor& codes, const StoredTensor* zeros)
      : cols_(shape.cols), groups_(shape.groups()), codes_(codes), zeros_(zeros) {}

  void codes(int64_t begin, int64_t end, uint8_t* codes) const override {
    const std::byte* from = codes_.data.data() + begin * cols_;
    for (int64_t i = 0; i < (end - begin) * cols_; ++i) codes[i] = static_cast<uint8_t>(from[i]) ^ 0x80;
  }
  int zero(int64_t row, int64_t group) const override {
    if (zeros_ == nullptr) return 128;
    const auto at = static_cast<size_t>(zeros_->data.size() == 1 ? 0 : row * groups_ + group);
    return static_cast<uint8_t>(zeros_->data[at]) ^ 0x80;
  }

 private:
  int64_t cols_, groups_;
  const StoredTensor& codes_;
  const StoredTensor* zeros_;
};

// The length of neighbouring groups; the last one may be shorter.
int64_t group_length(const ModuleTensors& module, const Metadata& config, const IntegerShape& shape, int64_t groups) {
  if (groups == 1) return shape.cols;
  int64_t said = 0;  // config_groups are numbered, and of several the one whose length fits is this module's
  for (int i = 0; i < 16; ++i) {
    const std::string key = fmt::format("quantization_config.config_groups.group_{}.weights.group_size", i);
    const int64_t length = config.integer_or(key, 0, -1, INT32_MAX);
    if (length > 0 && (shape.cols + length - 1) / length == groups) said = length;
  }
  if (said == 0 && shape.cols % groups == 0) said = shape.cols / groups;
  if (said == 0) module.refuse(fmt::format(".weight_scale: {} groups of {} inputs", groups, shape.cols));
  return said;
}

}  // namespace

std::unique_ptr<QuantizedMatrix> read_packed(const ModuleTensors& module, const Metadata& config) {
  const StoredTensor* packed = module.stored(".weight_packed");
  if (packed == nullptr || packed->dtype != "I32") return nullptr;
  const TensorInfo& scales = module.tensor(".weight_scale", {-1, -1});
  const StoredTensor& said = module.stored(".weight_shape", "I64", {2});
  int64_t dims[2];
  __builtin_memcpy(dims, said.data.data(), sizeof dims);
  IntegerShape shape;
  shape.rows = scales.shape[0];
  const StoredTensor& codes = module.stored(".weight_packed", "I32", {shape.rows, -1});
  const int64_t words = codes.shape[1];
  if (dims[0] != shape.rows || dims[1] <= 0 || dims[1] > words * 32) {
    module.refuse(
        fmt::format(".weight_shape: {} x {} does not fit {} rows of {} words", dims[0], dims[1], shape.rows, words));
  }
  shape.cols = dims[1];
  const int64_t bits = words * 32 / shape.cols;  // what is left of the last word is less than a bit an input
  if (bits < 1 || bits > 8 || (shape.cols * bits + 31) / 32 != words) {
    module.refuse(
        fmt::format(".weight_packed: {} words for {} inputs are not codes of 1 to 8 bits", words, shape.cols));
  }
  shape.bits = static_cast<int>(bits);
  const int64_t groups = scales.shape[1];
  shape.group = group_length(module, config, shape, groups);
  if (module.has(".weight_g_idx")) {
    const StoredTensor& g_idx = module.stored(".weight_g_idx", "I32", {shape.cols});
    shape.group_of = groups_apart(module, g_idx, groups, shape.group);
  }
  const StoredTensor* zeros = nullptr;
  if (module.has(".weight_zero_point")) {
    zeros = &module.stored(".weight_zero_point", "I32", {(shape.rows * bits + 31) / 32, groups});
  }
  auto storage = std::make_unique<PackedStorage>(shape, codes, zeros);
  return integer_matrix(module.module() + ".weight", std::move(shape), scales, false, std::move(storage));
}

std::unique_ptr<QuantizedMatrix> read_int8(const ModuleTensors& module, const Metadata& config) {
  const StoredTensor* weight = module.stored(".weight");
  if (weight == nullptr || weight->dtype != "I8") return nullptr;
  const StoredTensor& codes = module.stored(".weight", "I8", {-1, -1});
  IntegerShape shape;
  shape.rows = codes.shape[0];
  shape.cols = codes.shape[1];
  shape.bits = 8;
  const TensorInfo* scales = module.tensor(".weight_scale");
  const bool one = scales != nullptr && scales->elements() == 1;
  if (!one) scales = &module.tensor(".weight_scale", {shape.rows, -1});
  const int64_t groups = one ? 1 : scales->shape[1];
  shape.group = group_length(module, config, shape, groups);
  const StoredTensor* zeros = module.stored(".weight_zero_point");
  if (zeros != nullptr && zeros->data.size() != 1) {
    zeros = &module.stored(".weight_zero_point", "I8", {shape.rows, groups});
  }
  auto storage = std::make_unique<ByteStorage>(shape, codes, zeros);
  return integer_matrix(module.module() + ".weight", std::move(shape), *scales, false, std::move(storage));
}

}  // namespace tern
