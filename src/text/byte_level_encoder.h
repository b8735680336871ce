// Byte-level BPE (GPT-2 and its followers): a pre-tokenizer's words, each merged on its own.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/bpe.h"
#include "text/pre_tokenizer.h"
#include "text/segment_encoder.h"

namespace tern {

class ByteLevelEncoder : public SegmentEncoder {
 public:
  // Throws one bad-input line that begins with `source` when a merge is malformed.
  ByteLevelEncoder(const Vocabulary& vocabulary, std::span<const std::string_view> merges, const PreTokenizerRow& row,
                   const std::string& source)
      : vocabulary_(vocabulary), bpe_(vocabulary, merges, source), pre_tokenizer_(row), whole_words_(row.whole_words) {}

  void encode(std::string_view text, std::vector<int32_t>& ids) const override;
  // A user-defined token, or a string outside the byte-level alphabet, stands for itself.
  std::string bytes_of(std::string_view piece, bool user_defined) const override;

 private:
  struct Scratch {
    Bpe::Scratch bpe;
    std::vector<std::string_view> words;
  };
  void encode_word(std::string_view word, Scratch& scratch, std::vector<int32_t>& ids) const;

  const Vocabulary& vocabulary_;
  Bpe bpe_;
  PreTokenizer pre_tokenizer_;
  bool whole_words_;
};

}  // namespace tern
