// Splits text into the words that byte-pair encoding works on, by the rule that a model file names.
//
// A rule is a row of a table: its names in `tokenizer.ggml.pre` and a sequence of patterns. Each pattern splits every
// piece that the one before left into its matches and the gaps between them; no byte is lost. PCRE2 with UTF and
// Unicode properties, JIT where there is one with a stack of its own; nothing recurses on the machine's stack, and each
// pattern takes linear time. Owned by the Tokenizer; immutable, any thread.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/pattern.h"

namespace tern {

struct PreTokenizerRow {
  std::span<const std::string_view> names;     // of tokenizer.ggml.pre
  std::span<const std::string_view> patterns;  // applied one after the other
  bool whole_words;                            // a word that is a token needs no merges (Hugging Face: ignore_merges)
  bool adds_bos;                               // when the file does not say
};

// The row of `name`, or nothing.
const PreTokenizerRow* find_pre_tokenizer(std::string_view name);
// Every known name, comma-separated, for messages.
std::string pre_tokenizer_names();

class PreTokenizer {
 public:
  explicit PreTokenizer(const PreTokenizerRow& row);
  ~PreTokenizer();
  PreTokenizer(const PreTokenizer&) = delete;
  PreTokenizer& operator=(const PreTokenizer&) = delete;

  // Appends the words of `text`, which must be valid UTF-8. Views into `text`.
  void split(std::string_view text, std::vector<std::string_view>& words) const;

 private:
  void split_from(size_t level, std::string_view piece, std::vector<std::string_view>& words) const;

  std::vector<std::unique_ptr<Pattern>> patterns_;
};

}  // namespace tern
