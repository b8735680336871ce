// The "normalizer" of tokenizer.json: what happens to a text before it is split. A chain of steps, each from a string
// to a string. Immutable, any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "formats/json_value.h"

namespace tern::hf {

class Normalizer {
 public:
  class Step {
   public:
    virtual ~Step() = default;
    // Valid UTF-8 to valid UTF-8.
    virtual std::string apply(std::string_view text) const = 0;
  };

  Normalizer() = default;  // leaves texts as they are
  // Throws a bad-input line that names a kind that is not read.
  explicit Normalizer(const JsonNode& node) { add(node); }

  bool empty() const { return steps_.empty(); }
  std::string apply(std::string_view text) const;

 private:
  void add(const JsonNode& node);

  std::vector<std::unique_ptr<const Step>> steps_;
};

}  // namespace tern::hf
