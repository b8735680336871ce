#include "text/charsmap.h"

#include <fmt/core.h>
#include <utf8proc.h>

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "text/utf8.h"

namespace tern {
namespace {

constexpr uint32_t kLabelMask = 0x800000FF;  // the top bit marks a unit that is a value, which no byte equals

uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & (1U << 9)) >> 6); }
bool has_value(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t value_of(uint32_t unit) { return unit & 0x7FFFFFFF; }

// Longer than any decomposition of Unicode by far: what a character may grow to is bounded.
constexpr size_t kLongestReplacement = 128;
constexpr size_t kShortGrapheme = 6;  // bytes

// Behind the characters that belong together with the one at `at`.
size_t grapheme_end(std::string_view text, size_t at) {
  utf8proc_int32_t state = 0;
  CodePoint point = code_point_at(text, at);
  for (size_t end = at + point.bytes; end < text.size();) {
    const CodePoint next = code_point_at(text, end);
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(point.value),
                                         static_cast<utf8proc_int32_t>(next.value), &state)) {
      return end;
    }
    end += next.bytes;
    point = next;
  }
  return text.size();
}

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
  for (size_t begin = 0, end = 0; begin < replacements_.size(); begin = end + 1) {
    end = std::min(replacements_.find('\0', begin), replacements_.size());
    if (end - begin > kLongestReplacement) {
      bad_input(fmt::format("{}: a normalization rule writes {} bytes, more than {}", source, end - begin,
                            kLongestReplacement));
    }
  }
}

std::optional<CharsMap::Match> CharsMap::match(std::string_view text, bool longest) const {
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
    if (!longest) return found;
  }
  return found;
}

std::string CharsMap::apply(std::string_view text, const SpecialTokens* kept) const {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    if (const auto token = kept != nullptr ? kept->match_at(text, at, {}) : std::nullopt) {
      out += text.substr(at, token->bytes);
      at += token->bytes;
      continue;
    }
    const auto rule = match(text.substr(at), true);
    const size_t bytes = rule ? rule->bytes : code_point_at(text, at).bytes;
    out += rule ? rule->replacement : text.substr(at, bytes);
    at += bytes;
  }
  return replace_invalid_utf8(out);  // rules may hold anything
}

std::string CharsMap::apply_by_grapheme(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  const auto replace = [&](std::string_view part) {
    const auto rule = match(part, false);
    if (rule) out += rule->replacement;
    return rule.has_value();
  };
  for (size_t at = 0; at < text.size();) {
    const std::string_view grapheme = text.substr(at, grapheme_end(text, at) - at);
    at += grapheme.size();
    if (grapheme.size() < kShortGrapheme && replace(grapheme)) continue;
    for (size_t i = 0; i < grapheme.size();) {
      const std::string_view character = grapheme.substr(i, code_point_at(grapheme, i).bytes);
      if (!replace(character)) out += character;
      i += character.size();
    }
  }
  return replace_invalid_utf8(out);
}

}  // namespace tern
