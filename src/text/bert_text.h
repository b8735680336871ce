// What BERT's tokenizers do to a text before WordPiece: clean it, then cut it into words and punctuation. Pure
// functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tern {

struct BertTextOptions {
  bool clean = true;             // control characters go away, every white space becomes a space
  bool apart_ideographs = true;  // spaces around ideographs of Chinese, so that each is a word
  bool strip_accents = true;     // decomposed (NFD), without the non-spacing marks
  bool lowercase = true;
};

// `text` is valid UTF-8.
std::string normalize_bert(std::string_view text, const BertTextOptions& options);

// Appends the words of `text`, which point into it: what is between white space, punctuation characters one by one.
void split_bert(std::string_view text, std::vector<std::string_view>& words);

}  // namespace tern
