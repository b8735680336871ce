#include "text/bpe.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/error.h"
#include "text/byte_level.h"

namespace tern {
namespace {

// Up to here scanning for the best pair beats the heap; words of ordinary text are shorter.
constexpr size_t kShortWord = 24;

uint64_t hash_pair(int32_t left, int32_t right) {
  uint64_t pair = static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  pair = (pair ^ pair >> 32) * 0x9E3779B97F4A7C15u;
  return (pair ^ pair >> 32) * 0xD6E8FEB86659FD93u;
}

}  // namespace

Bpe::Bpe(const Vocabulary& vocabulary, std::span<const std::string_view> merges, const std::string& source)
    : by_pair_(merges.size()) {
  rules_.reserve(merges.size());
  for (int byte = 0; byte < 256; ++byte) {
    byte_ids_[byte] = vocabulary.find(byte_level_character(static_cast<uint8_t>(byte))).value_or(-1);
  }
  std::string whole;
  int32_t result = -1;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto refuse = [&](std::string_view reason) {
      bad_input(fmt::format("{}: tokenizer.ggml.merges[{}] \"{}\" {}", source, rank, printable(merges[rank]), reason));
    };
    const std::string_view merge = merges[rank];
    const size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == merge.size()) refuse("is not two tokens with a space between");
    const auto left = vocabulary.find(merge.substr(0, space));
    const auto right = vocabulary.find(merge.substr(space + 1));
    if (!left || !right) refuse("names a token that the vocabulary lacks");
    whole.assign(merge.substr(0, space)).append(merge.substr(space + 1));
    // Trained vocabularies list what merges make in the order of the merges: the next id is nearly always the one.
    const bool follows = vocabulary.has(result + 1) && vocabulary.piece(result + 1) == whole;
    result = follows ? result + 1 : vocabulary.find(whole).value_or(-1);
    if (result < 0) refuse("makes a token that the vocabulary lacks");
    insert({*left, *right, result}, source);
  }
}

void Bpe::insert(const Rule& rule, const std::string& source) {
  const auto rank = static_cast<uint32_t>(rules_.size());
  const auto equals = [&](uint32_t other) {
    return rules_[other].left == rule.left && rules_[other].right == rule.right;
  };
  // A pair that is listed twice keeps its better rank; the second one's place in rules_ is never reached.
  if (by_pair_.insert(hash_pair(rule.left, rule.right), rank, equals) == HashIndex::Inserted::kCollides) {
    bad_input(fmt::format("{}: tokenizer.ggml.merges[{}] collides with more than {} others", source, rank,
                          HashIndex::kLongestChain));
  }
  rules_.push_back(rule);
}

Bpe::Merge Bpe::merge_of(int32_t left, int32_t right) const {
  const auto rank = by_pair_.find(hash_pair(left, right), [&](uint32_t other) {
    return rules_[other].left == left && rules_[other].right == right;
  });
  return rank ? Merge{*rank, rules_[*rank].result} : Merge{kNoRank, -1};
}

std::optional<int32_t> Bpe::byte_token(uint8_t byte) const {
  return byte_ids_[byte] < 0 ? std::nullopt : std::optional(byte_ids_[byte]);
}

void Bpe::encode(std::string_view word, Scratch& scratch, std::vector<int32_t>& out) const {
  if (word.size() <= kShortWord) {
    int32_t ids[kShortWord];
    size_t count = 0;
    for (const char byte : word) {
      const int32_t id = byte_ids_[static_cast<uint8_t>(byte)];
      if (id >= 0) ids[count++] = id;
    }
    encode_short({ids, count}, out);
    return;
  }
  scratch.ids.clear();
  for (const char byte : word) {
    const int32_t id = byte_ids_[static_cast<uint8_t>(byte)];
    if (id >= 0) scratch.ids.push_back(id);
  }
  encode_long(scratch, out);
}

// Invariant: merges[i] is the merge of ids[i] and ids[i + 1].
void Bpe::encode_short(std::span<int32_t> ids, std::vector<int32_t>& out) const {
  Merge merges[kShortWord];
  size_t count = ids.size();
  for (size_t i = 0; i + 1 < count; ++i) merges[i] = merge_of(ids[i], ids[i + 1]);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (merges[i].rank < merges[best].rank) best = i;
    }
    if (merges[best].rank == kNoRank) break;
    ids[best] = merges[best].result;
    std::copy(ids.begin() + best + 2, ids.begin() + count, ids.begin() + best + 1);
    --count;
    std::copy(merges + best + 1, merges + count, merges + best);
    if (best > 0) merges[best - 1] = merge_of(ids[best - 1], ids[best]);
    if (best + 1 < count) merges[best] = merge_of(ids[best], ids[best + 1]);
  }
  out.insert(out.end(), ids.begin(), ids.begin() + count);
}

void Bpe::encode_long(Scratch& s, std::vector<int32_t>& out) const {
  const auto count = static_cast<int32_t>(s.ids.size());
  s.results.resize(s.ids.size());
  s.list.merge_all(
      count,
      [&](int32_t left, int32_t right) {
        const Merge merge = merge_of(s.ids[left], s.ids[right]);
        s.results[left] = merge.result;
        return merge.rank;
      },
      [&](int32_t left) { s.ids[left] = s.results[left]; });
  for (int32_t i = 0; i < count; i = s.list.next(i)) out.push_back(s.ids[i]);
}

}  // namespace tern
