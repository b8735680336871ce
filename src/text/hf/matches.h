// Where a rule of tokenizer.json applies in a text: a string, a pattern or a class of characters, as the stretches that
// match and those between them, which together are the text. Immutable, any thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "formats/json_value.h"
#include "text/pattern.h"

namespace tern::hf {

struct Stretch {
  size_t begin, end;
  bool hit;
};

class Matches {
 public:
  // {"String": "..."} or {"Regex": "..."}.
  static Matches from(const JsonNode& pattern);
  // Every character for which `is` holds, each alone.
  explicit Matches(std::function<bool(char32_t)> is) : is_(std::move(is)) {}
  explicit Matches(std::string literal) : literal_(std::move(literal)) {}
  explicit Matches(std::unique_ptr<const Pattern> pattern) : pattern_(std::move(pattern)) {}

  // Of valid UTF-8. Stretches may be empty where a pattern matches nothing.
  void find(std::string_view text, std::vector<Stretch>& out) const;

 private:
  void find_pattern(std::string_view text, std::vector<Stretch>& out) const;
  bool next(std::string_view text, size_t from, size_t& begin, size_t& end) const;

  std::function<bool(char32_t)> is_;
  std::string literal_;
  std::unique_ptr<const Pattern> pattern_;
};

}  // namespace tern::hf
