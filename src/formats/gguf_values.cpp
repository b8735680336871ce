#include "formats/gguf_values.h"

#include <fmt/core.h>

#include "core/error.h"
#include "core/limits.h"

namespace tern {
namespace {

enum ValueType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };
constexpr uint32_t kValueTypes = 13;

// The fewest bytes that one value of each type takes: a count above remaining / this cannot be honest.
constexpr uint64_t kLeastBytes[kValueTypes] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};

constexpr uint64_t kKeyBytes = 65'535;  // of the format's description

std::string over(std::string_view what, uint64_t value, std::string_view than, uint64_t limit) {
  return fmt::format("{} {} exceeds {} {}", what, value, than, limit);
}

}  // namespace

void GgufValueReader::read_pair(Metadata& metadata) {
  const auto length = reader_.number<uint64_t>("key length");
  if (length == 0) reader_.refuse("key", "is empty");
  if (length > kKeyBytes) reader_.refuse("key", over("length", length, "the limit of", kKeyBytes));
  const std::string_view key = reader_.string(length, "key");
  if (metadata.has(key)) reader_.refuse(key, "appears twice");
  const auto type = reader_.number<uint32_t>(key);
  if (type >= kValueTypes) reader_.refuse(key, fmt::format("unknown value type {}", type));
  if (key == kAlignmentKey && type != kU32) reader_.refuse(key, fmt::format("value type {} is not u32", type));
  metadata.set(std::string(key), value(key, type));
}

MetadataValue GgufValueReader::value(std::string_view key, uint32_t type) {
  switch (type) {
    case kF32:
      return {double{reader_.number<float>(key)}};
    case kF64:
      return {reader_.number<double>(key)};
    case kBool:
      return {boolean(key)};
    case kString:
      return {string(key)};
    case kArray:
      return {array(key, 1)};
    default:
      return {integer(key, type)};
  }
}

int64_t GgufValueReader::integer(std::string_view key, uint32_t type) {
  switch (type) {
    case kU8:
      return reader_.number<uint8_t>(key);
    case kI8:
      return reader_.number<int8_t>(key);
    case kU16:
      return reader_.number<uint16_t>(key);
    case kI16:
      return reader_.number<int16_t>(key);
    case kU32:
      return reader_.number<uint32_t>(key);
    case kI32:
      return reader_.number<int32_t>(key);
    case kI64:
      return reader_.number<int64_t>(key);
    default:
      break;
  }
  TERN_CHECK(type == kU64, "type " + std::to_string(type));
  const auto value = reader_.number<uint64_t>(key);
  if (value > INT64_MAX) reader_.refuse(key, over("value", value, "the greatest integer", INT64_MAX));
  return static_cast<int64_t>(value);
}

bool GgufValueReader::boolean(std::string_view key) {
  const auto byte = reader_.number<uint8_t>(key);
  if (byte > 1) reader_.refuse(key, fmt::format("boolean is {}, not 0 or 1", byte));
  return byte == 1;
}

std::string_view GgufValueReader::string(std::string_view field) {
  const auto length = reader_.number<uint64_t>(field);
  if (length > Limits::kStringBytes) {
    reader_.refuse(field, over("string length", length, "the limit of", Limits::kStringBytes));
  }
  return reader_.string(length, field);
}

MetadataArray GgufValueReader::array(std::string_view key, uint64_t depth) {
  if (depth > Limits::kArrayDepth) reader_.refuse(key, over("array depth", depth, "the limit of", Limits::kArrayDepth));
  if (++arrays_ > Limits::kMetadataEntries) {
    reader_.refuse(key, over("number of arrays", arrays_, "the limit of", Limits::kMetadataEntries));
  }
  const auto type = reader_.number<uint32_t>(key);
  if (type >= kValueTypes) reader_.refuse(key, fmt::format("unknown array element type {}", type));
  const auto count = reader_.number<uint64_t>(key);
  const uint64_t room = reader_.remaining() / kLeastBytes[type];
  if (count > room) reader_.refuse(key, over("array length", count, "what the file can hold,", room));
  if (count > Limits::kArrayElements - elements_) {
    const uint64_t left = Limits::kArrayElements - elements_;
    reader_.refuse(key, over("array length", count, "what the limit of array elements leaves,", left));
  }
  elements_ += count;
  MetadataArray result;
  result.size = count;
  fill(result, key, type, depth);
  return result;
}

void GgufValueReader::fill(MetadataArray& array, std::string_view key, uint32_t type, uint64_t depth) {
  const auto each = [&](auto& values, auto&& read) {
    values.reserve(array.size);
    for (uint64_t i = 0; i < array.size; ++i) values.push_back(read());
  };
  switch (type) {
    case kF32:
      return each(array.floats, [&] { return double{reader_.number<float>(key)}; });
    case kF64:
      return each(array.floats, [&] { return reader_.number<double>(key); });
    case kBool:
      return each(array.booleans, [&] { return boolean(key); });
    case kString:
      return each(array.strings, [&] { return string(key); });
    case kArray:
      if (array.size > Limits::kMetadataEntries - arrays_) {
        reader_.refuse(key, over("number of arrays", array.size, "the limit of", Limits::kMetadataEntries));
      }
      return each(array.arrays, [&] { return this->array(key, depth + 1); });
    default:
      return each(array.integers, [&] { return integer(key, type); });
  }
}

}  // namespace tern
