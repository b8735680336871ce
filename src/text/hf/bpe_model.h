// Byte-pair encoding as tokenizer.json describes it, with all its settings: over characters, or over bytes where the
// words are in the byte-level alphabet and nothing else asks for characters.
#pragma once

#include <array>
#include <string>

#include "text/hf/model.h"

namespace tern::hf {

class BpeModel : public WordModel {
 public:
  BpeModel(const TokenizerFile& file, const Vocabulary& vocabulary, bool alphabet);

  void encode(std::string_view word, Scratch& scratch, std::vector<int32_t>& ids) const override;
  std::optional<int32_t> byte_token(uint8_t byte) const override;
  bool takes_bytes() const override { return takes_bytes_; }

 private:
  struct Settings {
    explicit Settings(const JsonNode& model);
    std::string prefix, suffix;  // of characters that do not begin a word, that end one
    std::optional<std::string> unknown;
    bool byte_fallback, fuse_unknown, whole_words;
  };
  bool has_every_byte() const;
  std::optional<int32_t> whole_word(std::string_view word) const;
  void symbols_of(std::string_view word, std::vector<int32_t>& ids) const;
  bool bytes_of(std::string_view symbol, std::vector<int32_t>& ids) const;

  const Vocabulary& vocabulary_;
  Settings settings_;
  Bpe bpe_;
  std::optional<int32_t> unknown_;
  std::array<int32_t, 256> byte_ids_;  // of "<0xAB>"; -1: none
  bool alphabet_, takes_bytes_;
};

}  // namespace tern::hf
