// Tokens -> text, one token at a time, without ever giving out half a code point.
//
// One for each stream, used by one thread at a time. The stream goes on from a prompt, so a space that begins it
// counts. Invariant: everything given out, together, is the bytes of all tokens with invalid UTF-8 replaced by U+FFFD.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "text/tokenizer.h"

namespace tern {

class Detokenizer {
 public:
  explicit Detokenizer(std::shared_ptr<const Tokenizer> tokenizer, bool keep_control = false)
      : tokenizer_(std::move(tokenizer)), keep_control_(keep_control) {}

  // What `id` adds: valid UTF-8, possibly empty. A sequence that can no longer become valid is one U+FFFD.
  std::string push(int32_t id);
  // The end of the stream: a code point left incomplete is one U+FFFD. The object is then as new.
  std::string finish();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool keep_control_;
  std::string pending_;  // at most 3 bytes: a sequence that is well-formed so far
};

}  // namespace tern
