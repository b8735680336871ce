// The "post_processor" of tokenizer.json as far as one text goes: the tokens before and behind it. Pure function.
#pragma once

#include <cstdint>
#include <vector>

#include "formats/json_value.h"
#include "text/vocabulary.h"

namespace tern::hf {

struct Surroundings {
  std::vector<int32_t> before, behind;
};

// Throws a bad-input line that names a kind that is not read.
Surroundings surroundings_from(const JsonNode& post_processor, const Vocabulary& vocabulary);

}  // namespace tern::hf
