// The formats that a weight or a KV cache can be stored in. One file here per format holds its block layout and its
// plain reference decoder; one row of formats() makes it known to readers, kernels, writers and tests.
//
// Elements of a row are stored in blocks of `block_elements`; a row's length is a multiple of that. Little-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "quant/format_id.h"

namespace tern {

struct FormatInfo {
  Format format;
  std::string_view name;  // llama.cpp's spelling in lower case: "q4_k"
  uint32_t ggml_type;     // number in a GGUF file
  uint32_t block_elements;
  uint32_t block_bytes;
  std::string_view safetensors_name;  // "F32", "F16", "BF16" or empty
  // Decodes `blocks` consecutive blocks: out[blocks * block_elements]. Bit-exact with the gguf package where that
  // knows the format.
  void (*decode)(const std::byte* data, int64_t blocks, float* out);
};

// In place of ggml_type where GGUF files have no such type.
inline constexpr uint32_t kNoGgmlType = UINT32_MAX;

// All formats, in the order of the enumeration.
std::span<const FormatInfo> formats();
const FormatInfo& format_info(Format format);
inline std::string_view name_of(Format format) { return format_info(format).name; }
const FormatInfo* find_format(std::string_view name);
const FormatInfo* find_ggml_type(uint32_t ggml_type);

// Bytes of `elements` consecutive elements; no value when they are not whole blocks or the product overflows.
std::optional<uint64_t> encoded_bytes(Format format, uint64_t elements);

}  // namespace tern
