// The "decoder" of tokenizer.json: from a token as it is stored to the bytes that it stands for, and what a whole text
// loses at its ends. Immutable, any thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/json_value.h"

namespace tern::hf {

class Decoder {
 public:
  Decoder();  // none: tokens are words with a space between
  // Throws a bad-input line that names a kind that is not read.
  explicit Decoder(const JsonNode& node);

  std::string bytes_of(std::string_view piece) const;
  // Of a whole text, made of the tokens' bytes.
  void trim(std::string& text) const;
  bool adds_space() const { return lead_ == " " && lead_count_ > 0; }
  bool reads_bytes() const { return reads_bytes_; }        // "<0xAB>" is a byte
  bool reads_alphabet() const { return reads_alphabet_; }  // the byte-level one

 private:
  using Step = std::function<std::string(std::string_view)>;
  void add(const JsonNode& node);
  void push(Step step, const JsonNode& node);
  void add_strip(const JsonNode& node);
  void add_replace(const JsonNode& node);
  void add_word_piece(const JsonNode& node);

  std::vector<Step> steps_;
  bool fused_ = false;  // what comes after works on the whole text
  bool reads_bytes_ = false, reads_alphabet_ = false;
  std::string lead_, trail_;                 // taken from the ends of a whole text,
  size_t lead_count_ = 0, trail_count_ = 0;  // at most so often
};

}  // namespace tern::hf
