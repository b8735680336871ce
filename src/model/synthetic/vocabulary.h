// A byte-level BPE vocabulary of any size that was learned from nothing: the 256 bytes, then words of small letters in
// order, each one merge away from a shorter one, and three control tokens at the end. Any text can be tokenized and any
// token is text. Pure function, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tern {

struct SyntheticVocabulary {
  std::vector<std::string> tokens;  // in the byte-level alphabet
  std::vector<std::string> merges;  // "left right", best first
  std::vector<int32_t> types;       // of tokenizer.ggml.token_type
  int32_t bos = 0, eos = 0;
  bool has_turns = false;  // room for <|im_start|> and <|im_end|>, which chat_template() uses
};

// `size` >= 1. Where it is below 259, the last bytes have no token.
SyntheticVocabulary synthetic_vocabulary(int64_t size);

// Turns between <|im_start|> and <|im_end|>, in Jinja.
std::string synthetic_chat_template();

}  // namespace tern
