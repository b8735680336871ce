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

// The tokens of one merge and of what it makes, which is `guess` where the vocabulary is in the order of its merges.
class MergeReader {
 public:
  MergeReader(const Vocabulary& vocabulary, size_t prefix_bytes) : vocabulary_(vocabulary), prefix_(prefix_bytes) {}

  struct Read {
    int32_t left, right, result;
    std::string_view problem;  // empty: none
  };
  Read read(std::string_view left, std::string_view right) {
    const auto left_id = vocabulary_.find(left), right_id = vocabulary_.find(right);
    if (!left_id || !right_id) return {-1, -1, -1, "names a token that the vocabulary lacks"};
    whole_.assign(left).append(right.substr(std::min(prefix_, right.size())));
    // Trained vocabularies list what merges make in the order of the merges: the next id is nearly always the one.
    const bool follows = vocabulary_.has(result_ + 1) && vocabulary_.piece(result_ + 1) == whole_;
    result_ = follows ? result_ + 1 : vocabulary_.find(whole_).value_or(-1);
    if (result_ < 0) return {-1, -1, -1, "makes a token that the vocabulary lacks"};
    return {*left_id, *right_id, result_, ""};
  }

 private:
  const Vocabulary& vocabulary_;
  size_t prefix_;
  std::string whole_;
  int32_t result_ = -1;
};

}  // namespace

Bpe::Bpe(const Vocabulary& vocabulary, std::span<const std::string_view> merges, const std::string& source)
    : by_pair_(merges.size()) {
  find_byte_tokens(vocabulary);
  rules_.reserve(merges.size());
  MergeReader reader(vocabulary, 0);
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto refuse = [&](std::string_view reason) {
      bad_input(fmt::format("{}: tokenizer.ggml.merges[{}] \"{}\" {}", source, rank, printable(merges[rank]), reason));
    };
    const std::string_view merge = merges[rank];
    const size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == merge.size()) refuse("is not two tokens with a space between");
    const auto read = reader.read(merge.substr(0, space), merge.substr(space + 1));
    if (!read.problem.empty()) refuse(read.problem);
    rules_.push_back({read.left, read.right, read.result});
    // No text that is merged becomes a control token.
    if (vocabulary.is_text(read.result)) index(static_cast<uint32_t>(rank), source + ": tokenizer.ggml.merges");
  }
}

Bpe::Bpe(const Vocabulary& vocabulary, std::span<const Pair> merges, size_t prefix_bytes, const std::string& source)
    : by_pair_(merges.size()) {
  find_byte_tokens(vocabulary);
  rules_.reserve(merges.size());
  MergeReader reader(vocabulary, prefix_bytes);
  for (const auto& [left, right] : merges) {
    const auto read = reader.read(left, right);
    if (!read.problem.empty()) {
      bad_input(fmt::format("{}: model.merges[{}] \"{}\", \"{}\" {}", source, rules_.size(), printable(left),
                            printable(right), read.problem));
    }
    rules_.push_back({read.left, read.right, read.result});
  }
  for (size_t rank = rules_.size(); rank-- > 0;) {
    if (vocabulary.is_text(rules_[rank].result)) index(static_cast<uint32_t>(rank), source + ": model.merges");
  }
}

void Bpe::find_byte_tokens(const Vocabulary& vocabulary) {
  for (int byte = 0; byte < 256; ++byte) {
    byte_ids_[byte] = vocabulary.find(byte_level_character(static_cast<uint8_t>(byte))).value_or(-1);
  }
}

// Of a pair that is listed twice the one that is indexed first counts; the other's place in rules_ is never reached.
void Bpe::index(uint32_t rank, const std::string& name) {
  const Rule& rule = rules_[rank];
  const auto equals = [&](uint32_t other) {
    return rules_[other].left == rule.left && rules_[other].right == rule.right;
  };
  if (by_pair_.insert(hash_pair(rule.left, rule.right), rank, equals) == HashIndex::Inserted::kCollides) {
    bad_input(fmt::format("{}[{}] collides with more than {} others", name, rank, HashIndex::kLongestChain));
  }
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
  merge(scratch, out);
}

void Bpe::merge(Scratch& scratch, std::vector<int32_t>& out) const {
  if (scratch.ids.size() <= kShortWord) return encode_short(scratch.ids, out);
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
