// Cuts an answer before the first of its stop strings, wherever token and chunk borders fall.
//
// One for each stream. What could still become a stop string is held back, and nothing else is; a stop string is never
// given out. Works on bytes; feed it valid UTF-8 and it gives valid UTF-8.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tern {

class StopStrings {
 public:
  explicit StopStrings(std::vector<std::string> stops);

  // Appends `text`; returns what is certain to belong to the answer. After a stop was found returns nothing more.
  std::string push(std::string_view text);
  // The stream ended without a stop: what was held back.
  std::string finish();
  bool found() const { return found_; }
  // Of the answer so far, not given out yet.
  size_t pending_bytes() const { return pending_.size(); }

 private:
  size_t held_back() const;

  std::vector<std::string> stops_;
  std::string pending_;
  bool found_ = false;
};

}  // namespace tern
