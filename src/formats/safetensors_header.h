// The JSON header of a safetensors file as plain values, nothing yet held against anything. Internal to the reader.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/limits.h"
#include "formats/string_pool.h"

namespace tern {

struct SafetensorsEntry {
  std::string_view name;
  std::string_view dtype;
  std::array<uint64_t, Limits::kTensorDims> dims{};  // outermost first
  uint32_t dim_count = 0;
  std::array<uint64_t, 2> offsets{};  // begin, end; from the start of the data section
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;                                 // in the order of the header
  std::vector<std::pair<std::string_view, std::string_view>> free_text;  // "__metadata__"
};

// Strings of the result live in `pool`. Refuses what is not such a header, with one line that begins with `source`.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> text, const std::string& source,
                                           StringPool& pool);

}  // namespace tern
