// The tokens of a model: id <-> string as stored, with the type of each. Owned by the Tokenizer; immutable after
// construction and safe to read from any thread.
//
// Strings are copied once into one block, so that nothing depends on the life of the file, and are found through an
// index of their hashes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/hash_index.h"

namespace tern {

// The values are those of tokenizer.ggml.token_type.
enum class TokenType : uint8_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

class Vocabulary {
 public:
  // `types` is empty (all normal) or has one entry for each piece. Throws one bad-input line that begins with `source`
  // when there is no token, a type is unknown, the counts differ or two tokens are equal.
  Vocabulary(std::span<const std::string_view> pieces, std::span<const int64_t> types, const std::string& source);

  int32_t size() const { return static_cast<int32_t>(types_.size()); }
  bool has(int32_t id) const { return id >= 0 && id < size(); }
  std::string_view piece(int32_t id) const {
    return std::string_view(text_).substr(starts_[id], starts_[id + 1] - starts_[id]);
  }
  TokenType type(int32_t id) const { return types_[id]; }
  // Found only as a whole inside text, before it is split: control, unknown and user-defined tokens.
  bool is_special(int32_t id) const;
  // What pieces of text may be joined to: all but control and unknown tokens.
  bool is_text(int32_t id) const { return type(id) != TokenType::kControl && type(id) != TokenType::kUnknown; }
  std::optional<int32_t> find(std::string_view piece) const;

 private:
  void copy_pieces(std::span<const std::string_view> pieces);
  void insert(int32_t id, const std::string& source);

  std::string text_;
  std::vector<uint32_t> starts_;  // [size + 1] offsets into text_
  std::vector<TokenType> types_;
  HashIndex by_piece_;
};

}  // namespace tern
