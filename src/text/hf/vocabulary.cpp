#include "text/hf/vocabulary.h"

#include <fmt/core.h>

#include <algorithm>
#include <deque>
#include <string>
#include <unordered_map>

#include "core/error.h"
#include "core/limits.h"
#include "text/segment_encoder.h"

namespace tern::hf {
namespace {

// So many ids may lack a token, beside as many as have one: reserved places of real vocabularies are far fewer.
constexpr size_t kMostHoles = 65'536;

class Table {
 public:
  explicit Table(const TokenizerFile& file) : file_(file) {
    ids_.reserve(file.vocabulary.size() + file.scores.size());
    for (const auto& [piece, id] : file.vocabulary) add(piece, id, TokenType::kNormal);
    int64_t next = 0;
    for (const auto& [piece, score] : file.scores) add(piece, next++, TokenType::kNormal);
  }

  void add(std::string_view piece, int64_t id, TokenType type) {
    const auto refuse = [&](std::string_view reason) {
      bad_input(fmt::format("{}: token \"{}\" has the id {}, {}", file_.source, printable(piece), id, reason));
    };
    if (id < 0 || id >= static_cast<int64_t>(Limits::kVocabulary)) refuse("which is out of range");
    if (static_cast<size_t>(id) > 2 * (file_.vocabulary.size() + file_.scores.size() + ids_.size()) + kMostHoles) {
      refuse("which is far beyond the number of tokens");
    }
    if (static_cast<size_t>(id) >= pieces_.size()) {
      pieces_.resize(static_cast<size_t>(id) + 1);
      types_.resize(pieces_.size(), static_cast<int64_t>(TokenType::kUnused));
    }
    const auto [known, fresh] = ids_.emplace(piece, id);
    if (!fresh && known->second != id) refuse(fmt::format("and the id {} too", known->second));
    const bool taken = types_[id] != static_cast<int64_t>(TokenType::kUnused);
    if (taken && pieces_[id] != piece) refuse(fmt::format("as has \"{}\"", printable(pieces_[id])));
    pieces_[id] = piece;
    types_[id] = static_cast<int64_t>(type);
  }

  void mark_bytes() {
    for (size_t id = 0; id < pieces_.size(); ++id) {
      const bool normal = types_[id] == static_cast<int64_t>(TokenType::kNormal);
      if (normal && byte_of_piece(pieces_[id])) types_[id] = static_cast<int64_t>(TokenType::kByte);
    }
  }

  std::unique_ptr<const Vocabulary> finish() {
    std::deque<std::string> holes;
    for (size_t id = 0; id < pieces_.size(); ++id) {
      if (types_[id] != static_cast<int64_t>(TokenType::kUnused)) continue;
      std::string name = fmt::format("[unused {}]", id);
      while (ids_.contains(name)) name += ' ';
      pieces_[id] = holes.emplace_back(std::move(name));
    }
    return std::make_unique<const Vocabulary>(pieces_, types_, file_.source);
  }

 private:
  const TokenizerFile& file_;
  std::vector<std::string_view> pieces_;
  std::vector<int64_t> types_;
  std::unordered_map<std::string_view, int64_t> ids_;
};

}  // namespace

std::vector<AddedToken> added_tokens_from(const TokenizerFile& file) {
  std::vector<AddedToken> tokens;
  const auto list = file.node().find("added_tokens");
  if (!list) return tokens;
  for (const JsonNode& node : list->items()) {
    const bool special = node.boolean_or("special", false);
    const auto id = static_cast<int32_t>(node.at("id").integer(0, Limits::kVocabulary - 1));
    tokens.push_back({.token = {.entry = {node.at("content").string(), id, !special},
                                .manner = {.takes_space_before = node.boolean_or("lstrip", false),
                                           .takes_space_behind = node.boolean_or("rstrip", false),
                                           .single_word = node.boolean_or("single_word", false)}},
                      .normalized = node.boolean_or("normalized", !special)});
  }
  return tokens;
}

std::unique_ptr<const Vocabulary> vocabulary_from(const TokenizerFile& file, const std::vector<AddedToken>& added,
                                                  bool reads_bytes) {
  Table table(file);
  for (const AddedToken& token : added) {
    const auto& entry = token.token.entry;
    table.add(entry.piece, entry.id, entry.user_defined ? TokenType::kUserDefined : TokenType::kControl);
  }
  if (reads_bytes) table.mark_bytes();
  return table.finish();
}

}  // namespace tern::hf
