#include "text/charsmap.h"

#include <fmt/core.h>

#include <cstring>

#include "core/error.h"
#include "text/utf8.h"

namespace tern {
namespace {

constexpr uint32_t kLabelMask = 0x800000FF;  // the top bit marks a unit that is a value, which no byte equals

uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & (1U << 9)) >> 6); }
bool has_value(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t value_of(uint32_t unit) { return unit & 0x7FFFFFFF; }

}  // namespace

CharsMap::CharsMap(std::string_view blob, const std::string& source) {
  if (blob.empty()) return;
  uint32_t trie_bytes = 0;
  if (blob.size() >= sizeof trie_bytes) std::memcpy(&trie_bytes, blob.data(), sizeof trie_bytes);
  if (trie_bytes == 0 || trie_bytes % 4 != 0 || trie_bytes > blob.size() - sizeof trie_bytes) {
    bad_input(
        fmt::format("{}: {} bytes of normalization rules hold no trie of {} bytes", source, blob.size(), trie_bytes));
  }
  units_.resize(trie_bytes / 4);
  std::memcpy(units_.data(), blob.data() + sizeof trie_bytes, trie_bytes);
  replacements_ = blob.substr(sizeof trie_bytes + trie_bytes);
}

std::optional<CharsMap::Match> CharsMap::longest(std::string_view text) const {
  std::optional<Match> found;
  if (units_.empty()) return found;
  uint32_t node = offset_of(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (node >= units_.size() || (units_[node] & kLabelMask) != byte) return found;
    const bool complete = has_value(units_[node]);
    node ^= offset_of(units_[node]);
    if (node >= units_.size()) return found;
    if (!complete) continue;
    const uint32_t begin = value_of(units_[node]);
    if (begin >= replacements_.size()) return found;
    const size_t end = replacements_.find('\0', begin);
    found = Match{i + 1, std::string_view(replacements_).substr(begin, end - begin)};
  }
  return found;
}

std::string CharsMap::apply(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const auto match = longest(text.substr(at));
    const size_t bytes = match ? match->bytes : code_point_at(text, at).bytes;
    out += match ? match->replacement : text.substr(at, bytes);
    at += bytes;
  }
  return replace_invalid_utf8(out);  // rules may hold anything
}

}  // namespace tern
