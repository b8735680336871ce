#include "quant/kv_format.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "quant/format.h"

namespace tern {
namespace {

constexpr std::array kFormats{
    KvFormatInfo{Format::kF32, "f32", "", 4, 0},   KvFormatInfo{Format::kF16, "f16", "", 2, 0},
    KvFormatInfo{Format::kBF16, "bf16", "", 2, 0}, KvFormatInfo{kKvInt8, "int8", "q8_0", 1, 4},
    KvFormatInfo{kKvFp8, "fp8", "fp8_e4m3", 1, 4},
};

const KvFormatInfo* or_null(std::span<const KvFormatInfo>::iterator row) {
  return row == kv_formats().end() ? nullptr : &*row;
}

}  // namespace

std::span<const KvFormatInfo> kv_formats() { return kFormats; }

const KvFormatInfo* find_kv_format(std::string_view name) {
  return or_null(std::ranges::find_if(kv_formats(), [&](const KvFormatInfo& row) {
    return row.name == name || (!row.alias.empty() && row.alias == name);
  }));
}

const KvFormatInfo* find_kv_format(Format format) {
  return or_null(std::ranges::find(kv_formats(), format, &KvFormatInfo::format));
}

std::string_view kv_name_of(Format format) {
  const KvFormatInfo* row = find_kv_format(format);
  return row == nullptr ? name_of(format) : row->name;
}

std::string kv_format_names() {
  std::string names;
  for (const KvFormatInfo& row : kv_formats()) names += (names.empty() ? "" : ", ") + std::string(row.name);
  return names;
}

int64_t kv_head_bytes(Format format, int64_t head_dim) {
  const KvFormatInfo* row = find_kv_format(format);
  if (row == nullptr) {
    bad_input("[kv] cache format " + std::string(name_of(format)) + " is not supported; known: " + kv_format_names());
  }
  return head_dim * row->element_bytes + row->scale_bytes;
}

}  // namespace tern
