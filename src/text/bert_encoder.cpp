#include "text/bert_encoder.h"

#include "text/utf8.h"

namespace tern {

void BertEncoder::encode(std::string_view text, std::vector<int32_t>& ids) const {
  const std::string normal = normalize_bert(replace_invalid_utf8(text), options_);
  std::vector<std::string_view> words;
  split_bert(normal, words);
  for (const std::string_view word : words) pieces_.encode(word, ids);
}

std::string BertEncoder::bytes_of(std::string_view piece, bool user_defined) const {
  if (user_defined) return std::string(piece);
  const std::string &begins = pieces_.options().begins, &goes_on = pieces_.options().goes_on;
  // One of the marks is empty, and would be found in front of everything.
  const bool inside = goes_on.empty() ? !piece.starts_with(begins) : piece.starts_with(goes_on);
  if (inside) return std::string(piece.substr(goes_on.size()));
  return ' ' + std::string(piece.substr(begins.size()));
}

}  // namespace tern
