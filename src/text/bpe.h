// Byte-pair encoding of one word: the merge with the lowest rank first, the leftmost among equals.
//
// Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units". Short words scan for the best
// pair; longer ones go through a MergeList: O(n log n) time, O(n) memory, no recursion.
// Merges lie in the order of their ranks, 12 bytes each, behind an index by pair. Owned by the Tokenizer; immutable,
// any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/hash_index.h"
#include "text/merge_list.h"
#include "text/vocabulary.h"

namespace tern {

class Bpe {
 public:
  // `merges` are "left right" in the byte-level alphabet, best first. Bytes that the vocabulary lacks are dropped, as
  // Hugging Face and llama.cpp do. Throws one bad-input line that begins with `source` and names the merge.
  Bpe(const Vocabulary& vocabulary, std::span<const std::string_view> merges, const std::string& source);
  // The same of pairs; what they make leaves out the first `prefix_bytes` of the right one (Hugging Face:
  // continuing_subword_prefix), and of equal pairs the last one counts.
  using Pair = std::pair<std::string_view, std::string_view>;
  Bpe(const Vocabulary& vocabulary, std::span<const Pair> merges, size_t prefix_bytes, const std::string& source);

  // Reused between words of one call; not shared between threads.
  struct Scratch {
    std::vector<int32_t> ids;
    std::vector<int32_t> results;  // [ids] of the merge with the symbol behind
    MergeList list;
  };

  // Appends the tokens of `word` (raw bytes).
  void encode(std::string_view word, Scratch& scratch, std::vector<int32_t>& out) const;
  // Merges scratch.ids and appends what comes of them.
  void merge(Scratch& scratch, std::vector<int32_t>& out) const;
  // The token of one byte alone, or nothing when the vocabulary lacks it.
  std::optional<int32_t> byte_token(uint8_t byte) const;

 private:
  struct Merge {
    uint32_t rank;
    int32_t result;
  };
  struct Rule {
    int32_t left, right, result;
  };
  static constexpr uint32_t kNoRank = MergeList::kNoRank;

  void find_byte_tokens(const Vocabulary& vocabulary);
  // Of rules_[rank], whose merge `name` calls.
  void index(uint32_t rank, const std::string& name);
  Merge merge_of(int32_t left, int32_t right) const;
  void encode_short(std::span<int32_t> ids, std::vector<int32_t>& out) const;
  void encode_long(Scratch& scratch, std::vector<int32_t>& out) const;

  std::vector<Rule> rules_;            // [rank]: those of ordinary words are neighbours
  HashIndex by_pair_;                  // of rules_
  std::array<int32_t, 256> byte_ids_;  // -1: the byte is dropped
};

}  // namespace tern
