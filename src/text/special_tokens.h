// Finds whole tokens (control, unknown, user-defined) inside text before it is split: the longest at the leftmost
// place. SentencePiece's encoders find user-defined ones themselves, with a table of those alone.
//
// A trie over the tokens' bytes; each place costs at most the length of the longest token, which is bounded, so the
// time is linear in the text. Owned by the Tokenizer; immutable, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace tern {

class SpecialTokens {
 public:
  enum class Which : uint8_t { kAll, kAllButUserDefined, kUserDefined };
  // Throws one bad-input line that begins with `source` when such a token is longer than Limits::kSpecialTokenBytes.
  SpecialTokens(const Vocabulary& vocabulary, const std::string& source, Which which = Which::kAll);
  struct Entry {
    std::string piece;  // empty: never found
    int32_t id;
    bool user_defined;
  };
  SpecialTokens(std::span<const Entry> entries, const std::string& source);

  struct Match {
    size_t at;
    size_t bytes;
    int32_t id;
  };
  // Which control tokens count: none, all, or those of which every byte is marked in `trusted` (as long as the text).
  // User-defined tokens always count.
  struct Control {
    bool enabled = false;
    std::string_view trusted = {};  // empty: every byte is trusted
  };
  // The first match at or after byte `from`.
  std::optional<Match> find(std::string_view text, size_t from, Control control) const;
  // The longest that begins at byte `at`.
  std::optional<Match> match_at(std::string_view text, size_t at, Control control) const;

 private:
  struct Node {
    int32_t first_child = -1;
    int32_t sibling = -1;
    int32_t token = -1;
    uint8_t byte = 0;
    bool user_defined = false;  // of `token`
  };
  void add(std::string_view piece, int32_t id, bool user_defined, const std::string& source);
  void insert(std::string_view piece, int32_t id, bool user_defined);
  int32_t child(int32_t node, uint8_t byte) const;

  std::array<int32_t, 256> roots_;  // -1: no token begins with the byte
  std::vector<Node> nodes_;
};

}  // namespace tern
