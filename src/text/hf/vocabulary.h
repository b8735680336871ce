// The tokens of tokenizer.json under their ids: the model's and the added ones. Pure functions.
#pragma once

#include <memory>
#include <vector>

#include "formats/tokenizer_file.h"
#include "text/added_tokens.h"
#include "text/vocabulary.h"

namespace tern::hf {

struct AddedToken {
  AddedTokens::Token token;
  bool normalized;  // looked for in normalized text
};

std::vector<AddedToken> added_tokens_from(const TokenizerFile& file);

// `reads_bytes`: "<0xAB>" is a byte. Ids between others that no token has become unused tokens. Throws a bad-input
// line where two tokens share an id, an id is far beyond the others, or there are too many.
std::unique_ptr<const Vocabulary> vocabulary_from(const TokenizerFile& file, const std::vector<AddedToken>& added,
                                                  bool reads_bytes);

}  // namespace tern::hf
