#include "text/utf8.h"

#include <cstring>

namespace tern {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

// What may follow a lead byte: how many continuation bytes, and the bounds of the first of them.
struct Lead {
  uint32_t continuations;  // 0: not a lead byte of a longer sequence
  uint8_t low;
  uint8_t high;
};

Lead lead_of(uint8_t byte) {
  if (byte < 0xC2 || byte > 0xF4) return {0, 0, 0};
  if (byte < 0xE0) return {1, 0x80, 0xBF};
  if (byte == 0xE0) return {2, 0xA0, 0xBF};
  if (byte == 0xED) return {2, 0x80, 0x9F};
  if (byte < 0xF0) return {2, 0x80, 0xBF};
  if (byte == 0xF0) return {3, 0x90, 0xBF};
  if (byte == 0xF4) return {3, 0x80, 0x8F};
  return {3, 0x80, 0xBF};
}

}  // namespace

CodePoint code_point_at(std::string_view text, size_t at) {
  const auto first = static_cast<uint8_t>(text[at]);
  if (first < 0x80) return {first, 1, Utf8Status::kValid};
  Lead lead = lead_of(first);
  if (lead.continuations == 0) return {kReplacement, 1, Utf8Status::kInvalid};
  char32_t value = first & (0x3Fu >> lead.continuations);
  for (uint32_t i = 1; i <= lead.continuations; ++i) {
    if (at + i >= text.size()) return {kReplacement, i, Utf8Status::kIncomplete};
    const auto byte = static_cast<uint8_t>(text[at + i]);
    if (byte < lead.low || byte > lead.high) return {kReplacement, i, Utf8Status::kInvalid};
    value = value << 6 | (byte & 0x3Fu);
    lead.low = 0x80;
    lead.high = 0xBF;
  }
  return {value, lead.continuations + 1, Utf8Status::kValid};
}

void append_utf8(std::string& out, char32_t value) {
  if (value < 0x80) {
    out.push_back(static_cast<char>(value));
    return;
  }
  const int continuations = value < 0x800 ? 1 : value < 0x10000 ? 2 : 3;
  const uint32_t marker = continuations == 1 ? 0xC0 : continuations == 2 ? 0xE0 : 0xF0;
  out.push_back(static_cast<char>(marker | (value >> (6 * continuations))));
  for (int i = continuations - 1; i >= 0; --i) out.push_back(static_cast<char>(0x80 | ((value >> (6 * i)) & 0x3F)));
}

size_t valid_utf8_length(std::string_view text, size_t at) {
  size_t i = at;
  while (i < text.size()) {
    uint64_t eight;  // plain ASCII goes eight bytes at a time
    if (i + 8 <= text.size() && (std::memcpy(&eight, text.data() + i, 8), (eight & 0x8080808080808080u) == 0)) {
      i += 8;
      continue;
    }
    const CodePoint point = code_point_at(text, i);
    if (point.status != Utf8Status::kValid) break;
    i += point.bytes;
  }
  return i - at;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const size_t valid = valid_utf8_length(text, i);
    out.append(text, i, valid);
    i += valid;
    if (i == text.size()) break;
    append_utf8(out, kReplacement);
    i += code_point_at(text, i).bytes;
  }
  return out;
}

}  // namespace tern
