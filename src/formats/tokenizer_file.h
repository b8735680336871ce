// tokenizer.json of a Hugging Face folder: its vocabulary and merges as flat lists, everything else as a tree.
//
// The lists are what makes such a file large (a quarter of a million tokens, half a million merges), so they are taken
// from the stream of events and never become a tree. What the parts mean is text/hf's business. A plain value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/json_value.h"

namespace tern {

struct TokenizerFile {
  std::string source;                                                 // "[tokenizer] path", for messages
  JsonValue root;                                                     // without model.vocab and model.merges
  std::vector<std::pair<std::string_view, int64_t>> vocabulary;       // model.vocab as an object: token, id
  std::vector<std::pair<std::string_view, double>> scores;            // model.vocab as an array: token, score
  std::vector<std::pair<std::string_view, std::string_view>> merges;  // best first
  std::shared_ptr<const std::string> strings;                         // what the views look at

  JsonNode node() const { return {root, source}; }
};

// `path` is for messages. Throws one bad-input line that begins with it: not JSON, over a limit (Limits::kTokenizer...,
// kVocabulary, kJsonDepth), a vocabulary or merge of another shape.
TokenizerFile read_tokenizer_file(std::span<const std::byte> text, const std::string& path);

}  // namespace tern
