#include "text/added_tokens.h"

#include <algorithm>

#include "text/hf/unicode.h"
#include "text/utf8.h"

namespace tern {
namespace {

std::vector<SpecialTokens::Entry> entries_of(const std::vector<AddedTokens::Token>& tokens) {
  std::vector<SpecialTokens::Entry> entries;
  entries.reserve(tokens.size());
  for (const auto& token : tokens) entries.push_back(token.entry);
  return entries;
}

// Where the character that ends before `at` (> 0) begins.
size_t character_before(std::string_view text, size_t at) {
  size_t begin = at - 1;
  while (begin > 0 && at - begin < 4 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
  return begin;
}

bool word_ends_at(std::string_view text, size_t at) {
  return at > 0 && hf::is_word_part(code_point_at(text, character_before(text, at)).value);
}

bool word_begins_at(std::string_view text, size_t at) {
  return at < text.size() && hf::is_word_part(code_point_at(text, at).value);
}

size_t without_space_before(std::string_view text, size_t at, size_t least) {
  while (at > least) {
    const size_t begin = character_before(text, at);
    if (begin < least || !hf::is_white_space(code_point_at(text, begin).value)) break;
    at = begin;
  }
  return at;
}

size_t without_space_behind(std::string_view text, size_t at) {
  while (at < text.size()) {
    const CodePoint point = code_point_at(text, at);
    if (!hf::is_white_space(point.value)) break;
    at += point.bytes;
  }
  return at;
}

}  // namespace

AddedTokens::AddedTokens(const std::vector<Token>& tokens, const std::string& source)
    : tokens_(entries_of(tokens), source) {
  for (const Token& token : tokens) {
    const Manner& manner = token.manner;
    if (manner.takes_space_before || manner.takes_space_behind || manner.single_word) {
      manners_.emplace(token.entry.id, manner);
    }
  }
}

std::optional<AddedTokens::Match> AddedTokens::next(std::string_view text, Cursor& cursor,
                                                    SpecialTokens::Control control) const {
  while (const auto found = tokens_.find(text, cursor.from, control)) {
    Match match{found->at, found->at + found->bytes, found->id};
    cursor.from = match.end;
    if (const auto manner = manners_.find(match.id); manner != manners_.end()) {
      const Manner& is = manner->second;
      if (is.single_word && (word_ends_at(text, match.begin) || word_begins_at(text, match.end))) continue;
      if (is.takes_space_before) match.begin = without_space_before(text, match.begin, cursor.done);
      if (is.takes_space_behind) match.end = without_space_behind(text, match.end);
    }
    match.begin = std::max(match.begin, cursor.done);
    match.end = std::max(match.end, match.begin);
    cursor.done = match.end;
    return match;
  }
  return std::nullopt;
}

}  // namespace tern
