// SentencePiece's normalization rules as it compiles them: what a text begins with, the longest first, is replaced.
//
// The blob is a length of 4 bytes, so many bytes of a double-array trie (Yata's darts-clone: units of 32 bits with a
// label, a flag for a value, and the offset of their children), and replacements that end in a zero byte. Every step is
// checked against both, so that any bytes are safe; immutable, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/special_tokens.h"

namespace tern {

class CharsMap {
 public:
  // Empty: nothing is replaced. Throws one bad-input line that begins with `source` for a blob that is none.
  CharsMap(std::string_view blob, const std::string& source);

  // As SentencePiece does, which leaves user-defined tokens as they are. `text` is valid UTF-8.
  std::string apply(std::string_view text, const SpecialTokens* kept = nullptr) const;
  // As Hugging Face's tokenizers do: of a short grapheme the first part that has a rule stands for all of it, of others
  // each character alone.
  std::string apply_by_grapheme(std::string_view text) const;

 private:
  struct Match {
    size_t bytes;
    std::string_view replacement;
  };
  std::optional<Match> match(std::string_view text, bool longest) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace tern
