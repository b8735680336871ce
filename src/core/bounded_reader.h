// A cursor over bytes that came from outside: the only way in which parsers turn file bytes into numbers.
//
// Little-endian. Every read names what it reads; reading past the end throws one line with source, field and offset.
// Views returned by bytes() and string() live as long as the underlying bytes. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace tern {

class BoundedReader {
 public:
  // `source` is what messages begin with, e.g. "[gguf] /models/a.gguf".
  BoundedReader(std::span<const std::byte> bytes, std::string source) : bytes_(bytes), source_(std::move(source)) {}

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return bytes_.size() - offset_; }
  const std::string& source() const { return source_; }

  template <typename T>
    requires std::is_arithmetic_v<T>
  T number(std::string_view field) {
    T value;
    std::memcpy(&value, take(sizeof(T), field), sizeof(T));
    return value;
  }
  std::span<const std::byte> bytes(uint64_t count, std::string_view field) { return {take(count, field), count}; }
  std::string_view string(uint64_t count, std::string_view field) {
    return {reinterpret_cast<const char*>(take(count, field)), count};
  }
  // Throws a bad-input error about `field` at the current offset.
  [[noreturn]] void refuse(std::string_view field, std::string_view reason) const;

 private:
  const std::byte* take(uint64_t count, std::string_view field);

  std::span<const std::byte> bytes_;
  std::string source_;
  uint64_t offset_ = 0;
};

}  // namespace tern
