// SentencePiece BPE with byte fallback (Llama 2, Mistral, Gemma, Phi-3): of all neighbours that together are a piece,
// those with the best score merge first, the leftmost among equals.
//
// Kudo and Richardson 2018, "SentencePiece: A simple and language independent subword tokenizer and detokenizer".
// Spaces become U+2581, a character without a piece becomes its bytes' tokens "<0xAB>", or the unknown token where the
// vocabulary lacks them. The text is one word; where no piece continues over a space, it is cut there beforehand,
// which changes no merge and keeps words short. User-defined tokens merge with nothing, but the text around them is
// one text, with one space before all of it: this is what `sentencepiece` does (llama.cpp cuts the text at them first
// and puts a space before each part behind one). O(n log n) time, O(n) memory, no recursion (MergeList).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/merge_list.h"
#include "text/segment_encoder.h"
#include "text/special_tokens.h"
#include "text/vocabulary.h"

namespace tern {

class SentencePieceEncoder : public SegmentEncoder {
 public:
  struct Options {
    bool add_space_prefix = true;
    std::optional<int32_t> unknown;  // for bytes without a token; nothing: they are dropped
  };
  // One score a token, higher is better. Throws one bad-input line that begins with `source` otherwise.
  SentencePieceEncoder(const Vocabulary& vocabulary, std::span<const double> scores, Options options,
                       const std::string& source);

  void encode(std::string_view text, std::vector<int32_t>& ids) const override;
  // U+2581 is a space in user-defined tokens too (Gemma's runs of spaces).
  std::string bytes_of(std::string_view piece, bool user_defined) const override;
  bool finds_user_defined() const override { return true; }
  bool adds_space() const override { return options_.add_space_prefix; }

 private:
  static constexpr uint32_t kNoRank = MergeList::kNoRank;
  struct Symbols;
  void rank_by_score(std::span<const double> scores);
  bool continues_over_spaces() const;
  uint32_t rank_of(std::string_view piece) const;
  void encode_words(std::string_view text, Symbols& symbols, std::vector<int32_t>& ids) const;
  void encode_word(std::string_view word, Symbols& symbols, std::vector<int32_t>& ids) const;
  void push_symbol(std::string_view symbol, std::vector<int32_t>& ids) const;

  const Vocabulary& vocabulary_;
  SpecialTokens user_defined_;
  Options options_;
  std::vector<uint32_t> ranks_;        // [id] 0 is the best score; kNoRank: nothing merges into it
  std::array<int32_t, 256> byte_ids_;  // -1: none
  bool cuts_at_spaces_;
};

}  // namespace tern
