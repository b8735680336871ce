// The "model" of tokenizer.json: from a word to its tokens. Immutable, any thread; keeps a reference to the vocabulary.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "formats/tokenizer_file.h"
#include "text/bpe.h"
#include "text/vocabulary.h"

namespace tern::hf {

class WordModel {
 public:
  // Reused between the words of one text; one thread at a time.
  struct Scratch {
    Bpe::Scratch bpe;
  };

  virtual ~WordModel() = default;
  // Appends the tokens of `word`: valid UTF-8, not empty.
  virtual void encode(std::string_view word, Scratch& scratch, std::vector<int32_t>& ids) const = 0;
  // The token of a byte that is no part of valid UTF-8, if there is one.
  virtual std::optional<int32_t> byte_token(uint8_t byte) const = 0;
  // The words come as bytes and not in the byte-level alphabet.
  virtual bool takes_bytes() const { return false; }
};

// The token that is `piece`, if text may become it: no control token, however it is spelled, comes of a model.
std::optional<int32_t> text_token(const Vocabulary& vocabulary, std::string_view piece);

// `alphabet`: the words come in the byte-level alphabet, or could (takes_bytes). Throws a bad-input line that names a
// kind that is not read.
std::unique_ptr<const WordModel> make_word_model(const TokenizerFile& file, const Vocabulary& vocabulary,
                                                 bool alphabet);

}  // namespace tern::hf
