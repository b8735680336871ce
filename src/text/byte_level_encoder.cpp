#include "text/byte_level_encoder.h"

#include "text/byte_level.h"
#include "text/utf8.h"

namespace tern {

void ByteLevelEncoder::encode(std::string_view text, std::vector<int32_t>& ids) const {
  Scratch scratch;
  for (size_t at = 0; at < text.size();) {
    const size_t valid = valid_utf8_length(text, at);
    scratch.words.clear();
    pre_tokenizer_.split(text.substr(at, valid), scratch.words);
    for (const auto word : scratch.words) encode_word(word, scratch, ids);
    at += valid;
    if (at == text.size()) return;
    for (uint32_t bad = code_point_at(text, at).bytes; bad > 0; --bad, ++at) {
      if (const auto id = bpe_.byte_token(static_cast<uint8_t>(text[at]))) ids.push_back(*id);
    }
  }
}

void ByteLevelEncoder::encode_word(std::string_view word, Scratch& scratch, std::vector<int32_t>& ids) const {
  if (whole_words_) {
    if (const auto id = vocabulary_.find(byte_level_encode(word)); id && vocabulary_.is_text(*id)) {
      ids.push_back(*id);
      return;
    }
  }
  bpe_.encode(word, scratch.bpe, ids);
}

std::string ByteLevelEncoder::bytes_of(std::string_view piece, bool user_defined) const {
  if (user_defined) return std::string(piece);
  return byte_level_decode(piece).value_or(std::string(piece));
}

}  // namespace tern
