// The whole tokens inside a text (special_tokens.h) with what Hugging Face lets them ask for besides: to take the white
// space around them, or to stand for a word of their own.
//
// The leftmost longest token counts; one that is refused for not being a word of its own still covers its bytes. Owned
// by the Tokenizer; immutable, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/special_tokens.h"

namespace tern {

class AddedTokens {
 public:
  struct Manner {
    bool takes_space_before = false, takes_space_behind = false, single_word = false;
  };
  struct Token {
    SpecialTokens::Entry entry;
    Manner manner = {};
  };

  explicit AddedTokens(SpecialTokens tokens) : tokens_(std::move(tokens)) {}
  AddedTokens(const std::vector<Token>& tokens, const std::string& source);

  struct Match {
    size_t begin, end;
    int32_t id;
  };
  // Where a walk through a text stands: what lies before `done` has been given out.
  struct Cursor {
    size_t done = 0, from = 0;
  };
  // The next token, between which and the one before lies plain text: text[cursor.done as it was, begin).
  std::optional<Match> next(std::string_view text, Cursor& cursor, SpecialTokens::Control control) const;

 private:
  SpecialTokens tokens_;
  std::unordered_map<int32_t, Manner> manners_;  // of tokens that have one
};

}  // namespace tern
