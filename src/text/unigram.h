// Unigram (T5, XLM-R): of all ways to cut a text into pieces, the one whose pieces' scores have the largest sum.
//
// Kudo 2018, "Subword Regularization", arXiv 1804.10959: scores are log-probabilities, the best cut is found by
// Viterbi's algorithm. A character that is no piece costs more than any piece and becomes the unknown token, neighbours
// one together, or its bytes' tokens. O(n * longest piece * log pieces) time, O(n) memory, no recursion. Keeps a
// reference to the Vocabulary; immutable, any thread.
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

class Unigram {
 public:
  struct Options {
    std::optional<int32_t> unknown;  // nothing: what is unknown is dropped
    // Scores and sums as SentencePiece has them, where user-defined tokens cost next to nothing; otherwise as Hugging
    // Face does, which knows no types here.
    bool as_sentencepiece = true;
    bool byte_tokens = true;  // what is unknown becomes its bytes' tokens "<0xAB>" where all of them are there
  };
  // One score a token. Throws one bad-input line that begins with `source`.
  Unigram(const Vocabulary& vocabulary, std::span<const double> scores, Options options, const std::string& source);

  // Appends the tokens of `text`: valid UTF-8, spaces already marked.
  void encode(std::string_view text, std::vector<int32_t>& ids) const;

 private:
  struct Cut;
  void extend(std::string_view text, size_t from, std::vector<Cut>& cuts) const;
  double kept(double sum) const { return options_.as_sentencepiece ? float(sum) : sum; }
  void push_unknown(std::string_view text, std::vector<int32_t>& ids) const;

  const Vocabulary& vocabulary_;
  Options options_;
  std::vector<int32_t> sorted_;     // pieces of text in the order of their bytes: what begins alike lies together
  std::vector<double> scores_;      // [id], as they count
  double unknown_score_ = 0;        // of a character
  std::array<int32_t, 256> bytes_;  // -1: none
};

}  // namespace tern
