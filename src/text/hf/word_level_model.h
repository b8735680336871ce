// WordLevel of tokenizer.json: a word is a token, or unknown.
#pragma once

#include "text/hf/model.h"

namespace tern::hf {

class WordLevelModel : public WordModel {
 public:
  WordLevelModel(const JsonNode& model, const Vocabulary& vocabulary)
      : vocabulary_(vocabulary), unknown_(vocabulary.find(model.string_or("unk_token", "<unk>"))) {}

  void encode(std::string_view word, Scratch&, std::vector<int32_t>& ids) const override {
    auto id = text_token(vocabulary_, word);
    if (!id) id = unknown_;
    if (id) ids.push_back(*id);
  }
  std::optional<int32_t> byte_token(uint8_t) const override { return unknown_; }

 private:
  const Vocabulary& vocabulary_;
  std::optional<int32_t> unknown_;
};

}  // namespace tern::hf
