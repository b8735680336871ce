#include "text/marked_spaces.h"

namespace tern {

std::string with_spaces_marked(std::string_view text, bool prefix) {
  std::string marked;
  marked.reserve(text.size() + text.size() / 2 + kMarkedSpace.size());
  if (prefix) marked += kMarkedSpace;
  for (const char c : text) {
    if (c == ' ') {
      marked += kMarkedSpace;
    } else {
      marked.push_back(c);
    }
  }
  return marked;
}

std::string with_spaces_back(std::string_view piece) {
  std::string bytes;
  for (size_t at = 0; at < piece.size();) {
    const bool space = piece.substr(at, kMarkedSpace.size()) == kMarkedSpace;
    bytes.push_back(space ? ' ' : piece[at]);
    at += space ? kMarkedSpace.size() : 1;
  }
  return bytes;
}

}  // namespace tern
