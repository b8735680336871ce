// Builds GGUF files in memory for tests, right ones and, by patching the numbers that fields() lists, broken ones.
//
// Calls chain; build() may be called again after more calls. Dimensions are outermost first, as in TensorInfo.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace tern::test {

enum class GgufType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };
inline constexpr uint32_t kGgufTypes = 13;

template <typename T>
constexpr GgufType gguf_type_of() {
  if constexpr (std::is_same_v<T, bool>) return GgufType::kBool;
  if constexpr (std::is_floating_point_v<T>) return sizeof(T) == 4 ? GgufType::kF32 : GgufType::kF64;
  constexpr GgufType kUnsigned[] = {GgufType::kU8, GgufType::kU16, GgufType::kU32, GgufType::kU64};
  constexpr GgufType kSigned[] = {GgufType::kI8, GgufType::kI16, GgufType::kI32, GgufType::kI64};
  constexpr size_t kWidth = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
  return std::is_signed_v<T> ? kSigned[kWidth] : kUnsigned[kWidth];
}

class GgufBuilder {
 public:
  // A number in the file that a reader must not believe.
  struct Field {
    std::string name;
    size_t offset, bytes;
  };

  explicit GgufBuilder(uint32_t version = 3) : version_(version) {}

  // One key-value pair; the value's type follows from T: pass uint32_t{1} for a u32.
  template <typename T>
    requires std::is_arithmetic_v<T>
  GgufBuilder& number(std::string_view key, T value) {
    begin_pair(key, gguf_type_of<T>());
    put(pairs_, value);
    return *this;
  }
  template <typename T>
    requires std::is_arithmetic_v<T>
  GgufBuilder& numbers(std::string_view key, const std::vector<T>& values) {
    begin_array(key, gguf_type_of<T>(), values.size());
    for (const T value : values) put(pairs_, value);
    return *this;
  }
  GgufBuilder& string(std::string_view key, std::string_view value);
  GgufBuilder& strings(std::string_view key, const std::vector<std::string>& values);
  // Any type, any bytes.
  GgufBuilder& raw(std::string_view key, uint32_t type, std::span<const std::byte> value);
  // A plausible value of each of the 13 types.
  GgufBuilder& any(std::string_view key, GgufType type);
  // Writes general.alignment and pads with it.
  GgufBuilder& alignment(uint32_t bytes);

  // Data is padded to the alignment and placed after that of earlier tensors.
  GgufBuilder& tensor(std::string_view name, std::vector<uint64_t> dims, uint32_t ggml_type,
                      std::span<const std::byte> data);
  GgufBuilder& tensor_f32(std::string_view name, std::vector<uint64_t> dims, std::span<const float> values);
  // As tensor(), at an offset of the data section that need not be right; adds no data.
  GgufBuilder& tensor_at(std::string_view name, std::vector<uint64_t> dims, uint32_t ggml_type, uint64_t offset);

  std::vector<std::byte> build();
  // Of the last build().
  const std::vector<Field>& fields() const { return fields_; }
  size_t header_bytes() const { return header_bytes_; }

 private:
  struct Tensor {
    std::string name;
    std::vector<uint64_t> dims;
    uint32_t type;
    uint64_t offset;
  };
  template <typename T>
  void put(std::vector<std::byte>& to, T value) {
    const auto* from = reinterpret_cast<const std::byte*>(&value);
    to.insert(to.end(), from, from + sizeof(T));
  }
  void put_string(std::vector<std::byte>& to, std::string_view text, std::string field);
  template <typename T>
  void put_field(std::vector<std::byte>& to, T value, std::string name);
  void begin_pair(std::string_view key, GgufType type);
  void begin_array(std::string_view key, GgufType type, uint64_t count);

  uint32_t version_;
  uint32_t alignment_ = 32;
  uint64_t pair_count_ = 0;
  std::vector<std::byte> pairs_, data_;
  std::vector<Field> pair_fields_;  // offsets within pairs_
  std::vector<Tensor> tensors_;
  std::vector<Field> fields_;
  size_t header_bytes_ = 0;
};

// Overwrites the number at `field` with the low bytes of `value`.
void patch(std::vector<std::byte>& file, const GgufBuilder::Field& field, uint64_t value);

}  // namespace tern::test
