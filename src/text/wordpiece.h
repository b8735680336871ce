// WordPiece (BERT): a word is the longest piece that begins it, then the longest that goes on with the rest, and so on;
// where no piece goes on, the whole word is unknown.
//
// Schuster and Nakajima 2012; Devlin et al. 2018, arXiv 1810.04805. Files mark what goes on in a word ("##ing") or what
// begins one (GGUF: U+2581 in front). O(n^2) time for a word of n characters, of which there are at most
// `most_characters`. Keeps a reference to the Vocabulary; immutable, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace tern {

class WordPiece {
 public:
  struct Options {
    std::string begins;              // in front of a piece that begins a word
    std::string goes_on = "##";      // in front of one that does not
    std::optional<int32_t> unknown;  // of words; nothing: they are dropped
    size_t most_characters = 100;    // longer words are unknown
  };
  WordPiece(const Vocabulary& vocabulary, Options options);

  // Appends the tokens of `word`: valid UTF-8, not empty.
  void encode(std::string_view word, std::vector<int32_t>& ids) const;
  const Options& options() const { return options_; }

 private:
  std::optional<int32_t> find(const std::string& piece, bool begins) const;

  const Vocabulary& vocabulary_;
  Options options_;
};

}  // namespace tern
