#include "text/special_tokens.h"

#include <fmt/core.h>

#include "core/error.h"
#include "core/limits.h"

namespace tern {

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary, const std::string& source, Which which) {
  roots_.fill(-1);
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const bool user_defined = vocabulary.type(id) == TokenType::kUserDefined;
    const bool wanted = which == Which::kAll || (which == Which::kUserDefined) == user_defined;
    if (wanted && vocabulary.is_special(id)) {
      add(vocabulary.piece(id), id, user_defined, source + ": tokenizer.ggml.tokens");
    }
  }
}

SpecialTokens::SpecialTokens(std::span<const Entry> entries, const std::string& source) {
  roots_.fill(-1);
  for (const Entry& entry : entries) add(entry.piece, entry.id, entry.user_defined, source + ": added token ");
}

void SpecialTokens::add(std::string_view piece, int32_t id, bool user_defined, const std::string& source) {
  if (piece.size() > Limits::kSpecialTokenBytes) {
    bad_input(fmt::format("{}[{}] is a special token of {} bytes, more than {}", source, id, piece.size(),
                          Limits::kSpecialTokenBytes));
  }
  if (!piece.empty()) insert(piece, id, user_defined);
}

int32_t SpecialTokens::child(int32_t node, uint8_t byte) const {
  int32_t at = nodes_[node].first_child;
  while (at >= 0 && nodes_[at].byte != byte) at = nodes_[at].sibling;
  return at;
}

void SpecialTokens::insert(std::string_view piece, int32_t id, bool user_defined) {
  const auto add = [this](char byte, int32_t sibling) {
    nodes_.push_back({.sibling = sibling, .byte = static_cast<uint8_t>(byte)});
    return static_cast<int32_t>(nodes_.size()) - 1;
  };
  int32_t& root = roots_[static_cast<uint8_t>(piece[0])];
  if (root < 0) root = add(piece[0], -1);
  int32_t node = root;
  for (const char byte : piece.substr(1)) {
    int32_t next = child(node, static_cast<uint8_t>(byte));
    if (next < 0) {
      next = add(byte, nodes_[node].first_child);
      nodes_[node].first_child = next;
    }
    node = next;
  }
  nodes_[node].token = id;
  nodes_[node].user_defined = user_defined;
}

std::optional<SpecialTokens::Match> SpecialTokens::match_at(std::string_view text, size_t at, Control control) const {
  std::optional<Match> longest;
  bool trusted = control.enabled;
  int32_t node = roots_[static_cast<uint8_t>(text[at])];
  for (size_t i = at; node >= 0;) {
    trusted = trusted && (control.trusted.empty() || control.trusted[i] != 0);
    ++i;
    if (nodes_[node].token >= 0 && (trusted || nodes_[node].user_defined)) longest = {at, i - at, nodes_[node].token};
    node = i < text.size() ? child(node, static_cast<uint8_t>(text[i])) : -1;
  }
  return longest;
}

std::optional<SpecialTokens::Match> SpecialTokens::find(std::string_view text, size_t from, Control control) const {
  for (size_t at = from; at < text.size(); ++at) {
    if (roots_[static_cast<uint8_t>(text[at])] < 0) continue;
    if (auto match = match_at(text, at, control)) return match;
  }
  return std::nullopt;
}

}  // namespace tern
