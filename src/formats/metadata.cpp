#include "formats/metadata.h"

#include <fmt/core.h>

#include <cmath>

#include "core/error.h"

namespace tern {
namespace {

std::string_view kind_of(const MetadataArray& array) {
  if (array.size == 0) return "an empty array";
  if (array.integers.size() == array.size) return "an array of integers";
  if (array.floats.size() == array.size) return "an array of numbers";
  if (array.strings.size() == array.size) return "an array of strings";
  if (array.booleans.size() == array.size) return "an array of booleans";
  if (array.arrays.size() == array.size) return "an array of arrays";
  return "an array of mixed kinds";
}

std::string_view kind_of(const MetadataValue& value) {
  constexpr std::string_view kKinds[] = {"a boolean", "an integer", "a floating-point number", "a string"};
  const auto* array = std::get_if<MetadataArray>(&value.value);
  return array ? kind_of(array->decoded()) : kKinds[value.value.index()];
}

[[noreturn]] void wrong_kind(const Metadata& metadata, std::string_view key, std::string_view is,
                             std::string_view wanted) {
  metadata.refuse(key, fmt::format("is {}, not {}", is, wanted));
}

const MetadataValue& require(const Metadata& metadata, std::string_view key) {
  const MetadataValue* found = metadata.find(key);
  if (!found) metadata.refuse(key, "is missing");
  return *found;
}

template <typename T>
const T& require(const Metadata& metadata, std::string_view key, std::string_view wanted) {
  const MetadataValue& value = require(metadata, key);
  const T* typed = std::get_if<T>(&value.value);
  if (!typed) wrong_kind(metadata, key, kind_of(value), wanted);
  return *typed;
}

}  // namespace

const MetadataValue* Metadata::find(std::string_view key) const {
  const auto found = values_.find(std::string(key));
  return found == values_.end() ? nullptr : &found->second;
}

void Metadata::set(std::string key, MetadataValue value) {
  const auto [at, added] = values_.insert_or_assign(key, std::move(value));
  if (added) keys_.push_back(std::move(key));
}

int64_t Metadata::integer(std::string_view key, int64_t min, int64_t max) const {
  const int64_t value = require<int64_t>(*this, key, "an integer");
  if (value < min || value > max) refuse(key, fmt::format("{} is not in [{}, {}]", value, min, max));
  return value;
}

double Metadata::number(std::string_view key) const {
  const MetadataValue& value = require(*this, key);
  if (const auto* whole = std::get_if<int64_t>(&value.value)) return static_cast<double>(*whole);
  const double real = require<double>(*this, key, "a number");
  if (std::isnan(real)) refuse(key, "is NaN");
  return real;
}

std::string_view Metadata::string(std::string_view key) const {
  return require<std::string_view>(*this, key, "a string");
}

bool Metadata::boolean(std::string_view key) const { return require<bool>(*this, key, "a boolean"); }

MetadataArray Metadata::array(std::string_view key) const {
  return require<MetadataArray>(*this, key, "an array").decoded();
}

uint64_t Metadata::array_size(std::string_view key) const {
  return require<MetadataArray>(*this, key, "an array").size;
}

std::vector<std::string_view> Metadata::strings(std::string_view key) const {
  MetadataArray values = require<MetadataArray>(*this, key, "an array of strings").decoded();
  if (values.strings.size() != values.size) wrong_kind(*this, key, kind_of(values), "an array of strings");
  return std::move(values.strings);
}

std::vector<int64_t> Metadata::integers(std::string_view key) const {
  MetadataArray values = require<MetadataArray>(*this, key, "an array of integers").decoded();
  if (values.integers.size() != values.size) wrong_kind(*this, key, kind_of(values), "an array of integers");
  return std::move(values.integers);
}

std::vector<double> Metadata::numbers(std::string_view key) const {
  MetadataArray values = require<MetadataArray>(*this, key, "an array of numbers").decoded();
  if (values.floats.size() == values.size) return std::move(values.floats);
  if (values.integers.size() != values.size) wrong_kind(*this, key, kind_of(values), "an array of numbers");
  return {values.integers.begin(), values.integers.end()};
}

int64_t Metadata::integer_or(std::string_view key, int64_t fallback, int64_t min, int64_t max) const {
  return has(key) ? integer(key, min, max) : fallback;
}

double Metadata::number_or(std::string_view key, double fallback) const { return has(key) ? number(key) : fallback; }

std::string_view Metadata::string_or(std::string_view key, std::string_view fallback) const {
  return has(key) ? string(key) : fallback;
}

bool Metadata::boolean_or(std::string_view key, bool fallback) const { return has(key) ? boolean(key) : fallback; }

void Metadata::refuse(std::string_view key, std::string_view reason) const {
  bad_input(fmt::format("{}: {}: {}", source_, printable(key), reason));
}

}  // namespace tern
