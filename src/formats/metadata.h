// What a model file says about itself: a flat table of typed values, the same for GGUF (its key-value pairs) and for a
// Hugging Face folder (its JSON files, nested keys joined with dots: "rope_scaling.factor").
//
// Strings and arrays are views into the mapped file or into storage that the Checkpoint owns; they live as long as it.
// Getters throw one bad-input line that names file and key when a value is missing, of another kind or out of range.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

namespace tern {

struct MetadataValue;

struct MetadataArray {
  // Exactly one is filled, by the element kind (an empty array fills none).
  std::vector<int64_t> integers;  // every integer kind; u64 beyond int64 is refused on reading
  std::vector<double> floats;     // f32 and f64
  std::vector<std::string_view> strings;
  std::vector<bool> booleans;
  std::vector<MetadataArray> arrays;
  uint64_t size = 0;
  // Or none is, and the elements are still as they lie in the file, checked: a vocabulary's would take 40 bytes a token
  // beside it for as long as the model is loaded. `decode` makes the filled array of them.
  std::span<const std::byte> encoded;
  MetadataArray (*decode)(const MetadataArray& array) = nullptr;

  MetadataArray decoded() const { return decode == nullptr ? *this : decode(*this); }
};

struct MetadataValue {
  std::variant<bool, int64_t, double, std::string_view, MetadataArray> value;
};

class Metadata {
 public:
  explicit Metadata(std::string source = "") : source_(std::move(source)) {}

  const std::string& source() const { return source_; }  // "[gguf] path", for messages
  bool has(std::string_view key) const { return find(key) != nullptr; }
  const MetadataValue* find(std::string_view key) const;
  void set(std::string key, MetadataValue value);
  // Keys in the order of the file.
  std::span<const std::string> keys() const { return keys_; }

  // Required values. `min`/`max` are inclusive.
  int64_t integer(std::string_view key, int64_t min, int64_t max) const;
  double number(std::string_view key) const;  // an integer is a number too; never NaN
  std::string_view string(std::string_view key) const;
  bool boolean(std::string_view key) const;
  // Arrays are decoded by each of these calls.
  MetadataArray array(std::string_view key) const;
  uint64_t array_size(std::string_view key) const;
  std::vector<std::string_view> strings(std::string_view key) const;
  std::vector<int64_t> integers(std::string_view key) const;
  std::vector<double> numbers(std::string_view key) const;  // floats or integers

  // Optional values: the fallback when the key is absent (or JSON null); still refused when of another kind.
  int64_t integer_or(std::string_view key, int64_t fallback, int64_t min, int64_t max) const;
  double number_or(std::string_view key, double fallback) const;
  std::string_view string_or(std::string_view key, std::string_view fallback) const;
  bool boolean_or(std::string_view key, bool fallback) const;

  [[noreturn]] void refuse(std::string_view key, std::string_view reason) const;

 private:
  std::string source_;
  std::vector<std::string> keys_;
  std::unordered_map<std::string, MetadataValue> values_;
};

}  // namespace tern
