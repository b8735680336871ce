// Unigram of tokenizer.json (unigram.h): "vocab" is an array of pieces with their scores.
#pragma once

#include "text/hf/model.h"
#include "text/unigram.h"

namespace tern::hf {

class UnigramModel : public WordModel {
 public:
  UnigramModel(const TokenizerFile& file, const Vocabulary& vocabulary)
      : unknown_(unknown_of(file)),
        pieces_(vocabulary, scores_of(file, vocabulary),
                {.unknown = unknown_,
                 .as_sentencepiece = false,
                 .byte_tokens = file.node().at("model").boolean_or("byte_fallback", false)},
                file.source) {}

  void encode(std::string_view word, Scratch&, std::vector<int32_t>& ids) const override { pieces_.encode(word, ids); }
  std::optional<int32_t> byte_token(uint8_t) const override { return unknown_; }

 private:
  static std::optional<int32_t> unknown_of(const TokenizerFile& file) {
    const auto id = file.node().at("model").find("unk_id");
    if (!id) return std::nullopt;
    return static_cast<int32_t>(id->integer(0, static_cast<int64_t>(file.scores.size()) - 1));
  }
  // Added tokens behind the model's own have none.
  static std::vector<double> scores_of(const TokenizerFile& file, const Vocabulary& vocabulary) {
    std::vector<double> scores;
    for (const auto& [piece, score] : file.scores) scores.push_back(score);
    scores.resize(static_cast<size_t>(vocabulary.size()));
    return scores;
  }

  std::optional<int32_t> unknown_;
  Unigram pieces_;
};

}  // namespace tern::hf
