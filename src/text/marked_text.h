// Text whose bytes remember where they come from: the output of a chat template and the input of the tokenizer.
//
// A byte is trusted when the template's source or the model's own BOS/EOS token wrote it, and untrusted when it was
// part of a message, a tool or any other request field. The tokenizer finds control tokens in trusted bytes only; that
// is why text inside a message never becomes a control token. A plain value, owned by whoever holds it. Invariant:
// trusted.size() == text.size().
#pragma once

#include <string>
#include <string_view>

namespace tern {

struct MarkedText {
  std::string text;
  std::string trusted;  // one byte for each byte of text: 0 untrusted, else trusted

  MarkedText() = default;
  MarkedText(std::string bytes, bool is_trusted) : text(std::move(bytes)), trusted(text.size(), is_trusted ? 1 : 0) {}

  size_t size() const { return text.size(); }
  bool empty() const { return text.empty(); }
  void append(std::string_view bytes, bool is_trusted) {
    text.append(bytes);
    trusted.append(bytes.size(), is_trusted ? 1 : 0);
  }
  void append(const MarkedText& other) {
    text.append(other.text);
    trusted.append(other.trusted);
  }
  void append(const MarkedText& other, size_t at, size_t count) {
    text.append(other.text, at, count);
    trusted.append(other.trusted, at, count);
  }
  MarkedText substr(size_t at, size_t count = std::string::npos) const {
    MarkedText part;
    part.append(*this, at, count);
    return part;
  }
};

}  // namespace tern
