// The "pre_tokenizer" of tokenizer.json: cuts a normalized text into the words that the model works on. A chain of
// steps, each from words to words. Immutable, any thread.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "formats/json_value.h"

namespace tern::hf {

// The words so far: views of the text, or of strings that a step has made.
struct Words {
  struct Word {
    std::string_view text;
    bool first;  // begins where the whole text does
  };
  std::vector<Word> words;
  std::deque<std::string> made;
};

class WordSplitter {
 public:
  class Step {
   public:
    virtual ~Step() = default;
    virtual void apply(Words& words) const = 0;
  };

  WordSplitter() = default;  // the text is one word
  // Throws a bad-input line that names a kind that is not read.
  explicit WordSplitter(const JsonNode& node) { add(node); }

  // Of valid UTF-8.
  void split(std::string_view text, bool first, Words& words) const;

  // The last step only writes bytes in the byte-level alphabet: a model that works on bytes itself leaves it out.
  bool ends_in_alphabet() const { return ends_in_alphabet_; }
  void leave_out_alphabet();

 private:
  void add(const JsonNode& node);
  void push(std::unique_ptr<const Step> step, const JsonNode& node);
  void add_byte_level(const JsonNode& node);

  std::vector<std::unique_ptr<const Step>> steps_;
  bool ends_in_alphabet_ = false;
};

}  // namespace tern::hf
