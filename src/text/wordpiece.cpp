#include "text/wordpiece.h"

#include "text/utf8.h"

namespace tern {

WordPiece::WordPiece(const Vocabulary& vocabulary, Options options)
    : vocabulary_(vocabulary), options_(std::move(options)) {}

// A rest that looks like the beginning of a word is not taken for one.
std::optional<int32_t> WordPiece::find(const std::string& piece, bool begins) const {
  if (!begins && !options_.begins.empty() && piece.starts_with(options_.begins)) return std::nullopt;
  const auto id = vocabulary_.find(piece);
  return id && vocabulary_.type(*id) == TokenType::kNormal ? id : std::nullopt;
}

void WordPiece::encode(std::string_view word, std::vector<int32_t>& ids) const {
  std::vector<size_t> ends;  // of characters
  for (size_t at = 0; at < word.size() && ends.size() <= options_.most_characters;) {
    at += code_point_at(word, at).bytes;
    ends.push_back(at);
  }
  const size_t before = ids.size();
  bool known = ends.size() <= options_.most_characters;
  std::string piece;
  for (size_t first = 0, begin = 0; known && first < ends.size(); begin = ends[first - 1]) {
    std::optional<int32_t> id;
    size_t behind = ends.size();
    for (; behind > first && !id; --behind) {
      piece = begin == 0 ? options_.begins : options_.goes_on;
      piece += word.substr(begin, ends[behind - 1] - begin);
      id = find(piece, begin == 0);
    }
    known = id.has_value();
    if (!known) break;
    ids.push_back(*id);
    first = behind + 1;
  }
  if (known) return;
  ids.resize(before);
  if (options_.unknown) ids.push_back(*options_.unknown);
}

}  // namespace tern
