#include "text/vocabulary.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/error.h"
#include "core/limits.h"

namespace tern {
namespace {

// Eight bytes at a time, multiply and fold (the mixing step of the wyhash family).
uint64_t hash_bytes(std::string_view bytes) {
  uint64_t state = 0x9E3779B97F4A7C15u ^ bytes.size();
  const auto mix = [&state](uint64_t word) {
    const auto product = static_cast<unsigned __int128>(state ^ word) * 0xD6E8FEB86659FD93u;
    state = static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64) ^ 0xA0761D6478BD642Fu;
  };
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + i, 8);
    mix(word);
  }
  uint64_t rest = 0;
  if (i < bytes.size()) std::memcpy(&rest, bytes.data() + i, bytes.size() - i);
  mix(rest);
  return state;
}

TokenType checked_type(int64_t value, size_t id, const std::string& source) {
  if (value < 0 || value > 6) {
    bad_input(fmt::format("{}: tokenizer.ggml.token_type[{}] is {}, not 1 to 6", source, id, value));
  }
  return value == 0 ? TokenType::kNormal : static_cast<TokenType>(value);  // 0 is "undefined", taken as normal
}

}  // namespace

Vocabulary::Vocabulary(std::span<const std::string_view> pieces, std::span<const int64_t> types,
                       const std::string& source)
    : by_piece_(std::min<size_t>(pieces.size(), Limits::kVocabulary)) {
  if (pieces.empty() || pieces.size() > Limits::kVocabulary) {
    bad_input(fmt::format("{}: tokenizer.ggml.tokens has {} tokens, not 1 to {}", source, pieces.size(),
                          Limits::kVocabulary));
  }
  if (!types.empty() && types.size() != pieces.size()) {
    bad_input(
        fmt::format("{}: tokenizer.ggml.token_type has {} entries for {} tokens", source, types.size(), pieces.size()));
  }
  uint64_t bytes = 0;
  for (const auto piece : pieces) bytes += piece.size();
  if (bytes > std::numeric_limits<uint32_t>::max()) {
    bad_input(fmt::format("{}: tokenizer.ggml.tokens holds {} bytes of text, too many", source, bytes));
  }
  types_.assign(pieces.size(), TokenType::kNormal);
  for (size_t i = 0; i < types.size(); ++i) types_[i] = checked_type(types[i], i, source);
  text_.reserve(bytes);
  copy_pieces(pieces);
  for (int32_t id = 0; id < size(); ++id) insert(id, source);
}

void Vocabulary::copy_pieces(std::span<const std::string_view> pieces) {
  starts_.reserve(pieces.size() + 1);
  for (const auto piece : pieces) {
    starts_.push_back(static_cast<uint32_t>(text_.size()));
    text_.append(piece);
  }
  starts_.push_back(static_cast<uint32_t>(text_.size()));
}

void Vocabulary::insert(int32_t id, const std::string& source) {
  uint32_t same = 0;
  const auto equals = [&](uint32_t other) {
    same = other;
    return piece(static_cast<int32_t>(other)) == piece(id);
  };
  switch (by_piece_.insert(hash_bytes(piece(id)), static_cast<uint32_t>(id), equals)) {
    case HashIndex::Inserted::kYes:
      return;
    case HashIndex::Inserted::kEqual:
      bad_input(fmt::format("{}: tokenizer.ggml.tokens[{}] and [{}] are both \"{}\"", source, same, id,
                            printable(piece(id))));
    case HashIndex::Inserted::kCollides:
      bad_input(fmt::format("{}: tokenizer.ggml.tokens[{}] collides with more than {} others", source, id,
                            HashIndex::kLongestChain));
  }
}

bool Vocabulary::is_special(int32_t id) const {
  const TokenType kind = type(id);
  return kind == TokenType::kControl || kind == TokenType::kUnknown || kind == TokenType::kUserDefined;
}

std::optional<int32_t> Vocabulary::find(std::string_view wanted) const {
  const auto id =
      by_piece_.find(hash_bytes(wanted), [&](uint32_t other) { return piece(static_cast<int32_t>(other)) == wanted; });
  return id ? std::optional(static_cast<int32_t>(*id)) : std::nullopt;
}

}  // namespace tern
