// Small vocabularies for the tests of text: all 256 bytes, some merges, some special tokens, as metadata of a GGUF
// file.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/metadata.h"
#include "text/byte_level.h"
#include "text/tokenizer.h"

namespace tern::testing {

struct VocabularyParts {
  std::string pre = "smollm";
  std::vector<std::string> tokens;
  std::vector<int64_t> types;
  std::vector<std::string> merges;
  std::vector<std::pair<std::string, MetadataValue>> keys;

  void add(std::string token, int64_t type = 1) {
    tokens.push_back(std::move(token));
    types.push_back(type);
  }
  void merge(const std::string& left, const std::string& right) {
    merges.push_back(left + " " + right);
    add(left + right);
  }
};

// Three control tokens, the 256 bytes, merges that make runs of a letter, a digit, a space and some words, and one
// user-defined token.
inline VocabularyParts small_vocabulary() {
  VocabularyParts parts;
  for (const char* control : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) parts.add(control, 3);
  for (int byte = 0; byte < 256; ++byte) {
    parts.add(std::string(byte_level_character(static_cast<uint8_t>(byte))));
  }
  const std::string space = "\xC4\xA0";  // the character of byte 0x20
  for (const std::string& unit : {std::string("a"), space, std::string("!")}) {
    std::string run = unit;
    for (int i = 0; i < 5; ++i, run += run) parts.merge(run, run);
  }
  parts.merge("h", "e");
  parts.merge("l", "l");
  parts.merge("he", "ll");
  parts.merge("hell", "o");
  parts.merge(space, "hello");
  parts.merge("\xC3\x83", "\xC2\xA9");  // the two bytes of "é"
  parts.add("<user>", 4);
  parts.keys.emplace_back("tokenizer.ggml.eos_token_id", MetadataValue{int64_t{2}});
  parts.keys.emplace_back("tokenizer.ggml.bos_token_id", MetadataValue{int64_t{1}});
  return parts;
}

inline Metadata to_metadata(const VocabularyParts& parts, std::string_view model = "gpt2") {
  const auto strings = [](const std::vector<std::string>& from) {
    MetadataArray array;
    array.strings.assign(from.begin(), from.end());
    array.size = from.size();
    return MetadataValue{std::move(array)};
  };
  Metadata metadata("[gguf] test.gguf");
  metadata.set("tokenizer.ggml.model", {model});
  metadata.set("tokenizer.ggml.pre", {std::string_view(parts.pre)});
  metadata.set("tokenizer.ggml.tokens", strings(parts.tokens));
  metadata.set("tokenizer.ggml.merges", strings(parts.merges));
  MetadataArray types;
  types.integers = parts.types;
  types.size = parts.types.size();
  metadata.set("tokenizer.ggml.token_type", {std::move(types)});
  for (const auto& [key, value] : parts.keys) metadata.set(key, value);
  return metadata;
}

inline std::shared_ptr<const Tokenizer> make_tokenizer(const VocabularyParts& parts = small_vocabulary()) {
  return Tokenizer::from_metadata(to_metadata(parts));
}

}  // namespace tern::testing
