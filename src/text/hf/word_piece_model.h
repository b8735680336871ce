// WordPiece of tokenizer.json (wordpiece.h).
#pragma once

#include "text/hf/model.h"
#include "text/wordpiece.h"

namespace tern::hf {

class WordPieceModel : public WordModel {
 public:
  WordPieceModel(const JsonNode& model, const Vocabulary& vocabulary)
      : unknown_(vocabulary.find(model.string_or("unk_token", "[UNK]"))),
        pieces_(vocabulary, {.begins = "",
                             .goes_on = model.string_or("continuing_subword_prefix", "##"),
                             .unknown = unknown_,
                             .most_characters = most_characters(model)}) {}

  void encode(std::string_view word, Scratch&, std::vector<int32_t>& ids) const override { pieces_.encode(word, ids); }
  std::optional<int32_t> byte_token(uint8_t) const override { return unknown_; }

 private:
  static size_t most_characters(const JsonNode& model) {
    constexpr int64_t kMost = 10'000;  // each takes the square of its length
    const auto most = model.find("max_input_chars_per_word");
    return most ? static_cast<size_t>(most->integer(0, kMost)) : 100;
  }

  std::optional<int32_t> unknown_;
  WordPiece pieces_;
};

}  // namespace tern::hf
