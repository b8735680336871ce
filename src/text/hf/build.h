// tokenizer.json and what its companions say -> the parts of a Tokenizer.
//
// Special tokens become control tokens, other added tokens user-defined ones. Pure function.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "formats/tokenizer_file.h"
#include "text/tokenizer.h"

namespace tern::hf {

// What tokenizer_config.json, generation_config.json and config.json say about a tokenizer.
struct Companions {
  std::optional<std::string> bos, eos;     // the tokens' text
  std::optional<bool> adds_bos, adds_eos;  // where said, they count and not the post_processor
  std::vector<int64_t> end_ids;            // further tokens that end an answer; ids without a token are passed over
};

// Throws one bad-input line that names file, key and reason.
Tokenizer::Parts tokenizer_parts(const TokenizerFile& file, const Companions& companions);

}  // namespace tern::hf
