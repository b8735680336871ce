#include "text/sentencepiece_encoder.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/error.h"
#include "text/marked_spaces.h"
#include "text/utf8.h"

namespace tern {
namespace {

// The end of the word that begins at `at`: before the next marked space that follows something else.
size_t word_end(std::string_view text, size_t at) {
  size_t end = at;
  while (text.substr(end, kMarkedSpace.size()) == kMarkedSpace) end += kMarkedSpace.size();
  const size_t next = text.find(kMarkedSpace, end);
  return next == text.npos ? text.size() : next;
}

}  // namespace

// Reused between words.
struct SentencePieceEncoder::Symbols {
  std::vector<uint32_t> start;  // [count + 1] where each character begins; a symbol is known by its first one
  MergeList list;
};

SentencePieceEncoder::SentencePieceEncoder(const Vocabulary& vocabulary, std::span<const double> scores,
                                           Options options, const std::string& source)
    : vocabulary_(vocabulary),
      user_defined_(vocabulary, source, SpecialTokens::Which::kUserDefined),
      options_(options) {
  if (scores.size() != static_cast<size_t>(vocabulary.size())) {
    bad_input(fmt::format("{}: tokenizer.ggml.scores has {} entries for {} tokens", source, scores.size(),
                          vocabulary.size()));
  }
  for (size_t id = 0; id < scores.size(); ++id) {
    if (!std::isfinite(scores[id])) {
      bad_input(fmt::format("{}: tokenizer.ggml.scores[{}] is {}", source, id, scores[id]));
    }
  }
  rank_by_score(scores);
  for (int byte = 0; byte < 256; ++byte) {
    const auto id = vocabulary.find(piece_of_byte(static_cast<uint8_t>(byte)));
    byte_ids_[byte] = id && vocabulary.type(*id) == TokenType::kByte ? *id : -1;
  }
  cuts_at_spaces_ = !continues_over_spaces();
}

// Equal scores are one rank, so that the leftmost of their pairs comes first.
void SentencePieceEncoder::rank_by_score(std::span<const double> scores) {
  std::vector<double> better(scores.begin(), scores.end());
  std::sort(better.begin(), better.end(), std::greater<>());
  better.erase(std::unique(better.begin(), better.end()), better.end());
  ranks_.assign(scores.size(), kNoRank);
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    if (vocabulary_.type(id) != TokenType::kNormal) continue;
    const auto at = std::lower_bound(better.begin(), better.end(), scores[id], std::greater<>());
    ranks_[id] = static_cast<uint32_t>(at - better.begin());
  }
}

bool SentencePieceEncoder::continues_over_spaces() const {
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    if (ranks_[id] == kNoRank) continue;
    const std::string_view piece = vocabulary_.piece(id);
    if (!piece.empty() && word_end(piece, 0) != piece.size()) return true;
  }
  return false;
}

uint32_t SentencePieceEncoder::rank_of(std::string_view piece) const {
  const auto id = vocabulary_.find(piece);
  return id ? ranks_[*id] : kNoRank;
}

void SentencePieceEncoder::encode(std::string_view text, std::vector<int32_t>& ids) const {
  const std::string marked = with_spaces_marked(text, options_.add_space_prefix);
  const std::string_view all = marked;
  Symbols symbols;
  for (size_t at = 0; at < all.size();) {
    const auto token = user_defined_.find(all, at, {});
    encode_words(all.substr(at, token ? token->at - at : all.npos), symbols, ids);
    if (!token) break;
    ids.push_back(token->id);
    at = token->at + token->bytes;
  }
}

void SentencePieceEncoder::encode_words(std::string_view text, Symbols& symbols, std::vector<int32_t>& ids) const {
  for (size_t at = 0; at < text.size();) {
    const size_t end = cuts_at_spaces_ ? word_end(text, at) : text.size();
    encode_word(text.substr(at, end - at), symbols, ids);
    at = end;
  }
}

void SentencePieceEncoder::encode_word(std::string_view word, Symbols& s, std::vector<int32_t>& ids) const {
  if (rank_of(word) != kNoRank && word.size() <= kMarkedSpace.size()) return push_symbol(word, ids);
  s.start.clear();
  for (size_t at = 0; at < word.size(); at += code_point_at(word, at).bytes) {
    s.start.push_back(static_cast<uint32_t>(at));
  }
  const auto count = static_cast<int32_t>(s.start.size());
  s.start.push_back(static_cast<uint32_t>(word.size()));
  const auto text_of = [&](int32_t first, int32_t behind) {
    return word.substr(s.start[first], s.start[behind] - s.start[first]);
  };
  s.list.merge_all(
      count, [&](int32_t left, int32_t right) { return rank_of(text_of(left, s.list.next(right))); }, [](int32_t) {});
  for (int32_t i = 0; i < count; i = s.list.next(i)) push_symbol(text_of(i, s.list.next(i)), ids);
}

void SentencePieceEncoder::push_symbol(std::string_view symbol, std::vector<int32_t>& ids) const {
  const auto id = vocabulary_.find(symbol);
  if (id && ranks_[*id] != kNoRank) {
    ids.push_back(*id);
    return;
  }
  for (const char byte : symbol) {
    const int32_t byte_id = byte_ids_[static_cast<uint8_t>(byte)];
    if (byte_id >= 0) {
      ids.push_back(byte_id);
    } else if (options_.unknown) {
      ids.push_back(*options_.unknown);
      return;
    }
  }
}

std::string SentencePieceEncoder::bytes_of(std::string_view piece, bool) const { return with_spaces_back(piece); }

}  // namespace tern
