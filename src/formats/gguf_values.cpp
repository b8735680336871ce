#include "formats/gguf_values.h"

#include <fmt/core.h>

#include <cstring>

#include "core/error.h"
#include "core/limits.h"

namespace tern {
namespace {

enum ValueType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };
constexpr uint32_t kValueTypes = 13;

// The fewest bytes that one value of each type takes: a count above remaining / this cannot be honest.
constexpr uint64_t kLeastBytes[kValueTypes] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};

constexpr uint64_t kKeyBytes = 65'535;  // of the format's description

MetadataArray empty_of(const MetadataArray& encoded) {
  MetadataArray array;
  array.size = encoded.size;
  return array;
}

// Of elements that leave_encoded() has checked.
template <typename Element, typename Value, std::vector<Value> MetadataArray::* kValues>
MetadataArray decode_numbers(const MetadataArray& encoded) {
  MetadataArray array = empty_of(encoded);
  std::vector<Value>& values = array.*kValues;
  values.reserve(array.size);
  for (uint64_t i = 0; i < array.size; ++i) {
    Element element;
    std::memcpy(&element, encoded.encoded.data() + i * sizeof(Element), sizeof(Element));
    values.push_back(static_cast<Value>(element));
  }
  return array;
}

MetadataArray decode_strings(const MetadataArray& encoded) {
  MetadataArray array = empty_of(encoded);
  array.strings.reserve(array.size);
  BoundedReader reader(encoded.encoded, "");
  for (uint64_t i = 0; i < array.size; ++i) {
    array.strings.push_back(reader.string(reader.number<uint64_t>("length"), "string"));
  }
  return array;
}

template <typename Element>
constexpr auto* kIntegers = decode_numbers<Element, int64_t, &MetadataArray::integers>;
template <typename Element>
constexpr auto* kFloats = decode_numbers<Element, double, &MetadataArray::floats>;

// By value type; null: read at once.
constexpr decltype(MetadataArray::decode) kDecoders[kValueTypes] = {
    kIntegers<uint8_t>,  kIntegers<int8_t>,
    kIntegers<uint16_t>, kIntegers<int16_t>,
    kIntegers<uint32_t>, kIntegers<int32_t>,
    kFloats<float>,      nullptr,
    decode_strings,      nullptr,
    kIntegers<uint64_t>, kIntegers<int64_t>,
    kFloats<double>,
};

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
  if (array.size > 0 && kDecoders[type] != nullptr) return leave_encoded(array, key, type);
  switch (type) {
    case kBool:
      array.booleans.reserve(array.size);
      for (uint64_t i = 0; i < array.size; ++i) array.booleans.push_back(boolean(key));
      return;
    case kArray:
      if (array.size > Limits::kMetadataEntries - arrays_) {
        reader_.refuse(key, over("number of arrays", array.size, "the limit of", Limits::kMetadataEntries));
      }
      array.arrays.reserve(array.size);
      for (uint64_t i = 0; i < array.size; ++i) array.arrays.push_back(this->array(key, depth + 1));
      return;
    default:
      break;
  }
}

// Every element is checked here, so that decoding cannot fail.
void GgufValueReader::leave_encoded(MetadataArray& array, std::string_view key, uint32_t type) {
  const std::byte* begin = reader_.bytes(0, key).data();
  if (type == kString) {
    for (uint64_t i = 0; i < array.size; ++i) string(key);
  } else if (type == kU64) {
    for (uint64_t i = 0; i < array.size; ++i) integer(key, type);
  } else {
    reader_.bytes(array.size * kLeastBytes[type], key);  // no overflow: the count is of what the file can hold
  }
  array.encoded = {begin, reader_.bytes(0, key).data()};
  array.decode = kDecoders[type];
}

}  // namespace tern
