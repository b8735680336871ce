// The symbols of a word as a linked list whose neighbours merge, the pair with the lowest rank first, the leftmost
// among equals: what byte-pair encodings have in common. Heap of pairs: O(n log n) time, O(n) memory. Its memory is
// reused from word to word; one thread at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

namespace tern {

class MergeList {
 public:
  static constexpr uint32_t kNoRank = ~uint32_t{0};  // the pair does not merge

  // Of symbols 0 to count - 1. `rank_of(left, right)`: of two neighbours; asked whenever a pair comes to be, so it may
  // note what they would make. `merged(left)`: the symbol has taken in the one behind it.
  template <typename RankOf, typename Merged>
  void merge_all(int32_t count, const RankOf& rank_of, const Merged& merged);
  // The symbol behind a symbol that is left; `count` behind the last.
  int32_t next(int32_t at) const { return next_[at]; }

 private:
  std::vector<int32_t> previous_, next_;
  std::vector<uint32_t> rank_;  // of the pair that begins with the symbol; kNoRank: none, or the symbol is gone
  std::vector<uint64_t> heap_;  // rank << 32 | symbol; stale where rank_ has changed since
};

template <typename RankOf, typename Merged>
void MergeList::merge_all(int32_t count, const RankOf& rank_of, const Merged& merged) {
  previous_.resize(count);
  next_.resize(count);
  rank_.assign(count, kNoRank);
  heap_.clear();
  const auto pair_up = [&](int32_t at) {  // looks up the pair that begins at `at`
    rank_[at] = next_[at] < count ? rank_of(at, next_[at]) : kNoRank;
    if (rank_[at] == kNoRank) return false;
    heap_.push_back(static_cast<uint64_t>(rank_[at]) << 32 | static_cast<uint32_t>(at));
    return true;
  };
  for (int32_t i = 0; i < count; ++i) {
    previous_[i] = i - 1;
    next_[i] = i + 1;
  }
  for (int32_t i = 0; i < count; ++i) pair_up(i);
  const std::greater<uint64_t> lowest_first;
  std::make_heap(heap_.begin(), heap_.end(), lowest_first);
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), lowest_first);
    const uint64_t entry = heap_.back();
    heap_.pop_back();
    const auto at = static_cast<int32_t>(entry & 0xFFFFFFFFu);
    if (rank_[at] != entry >> 32) continue;
    const int32_t eaten = next_[at];
    merged(at);
    rank_[eaten] = kNoRank;
    next_[at] = next_[eaten];
    if (next_[at] < count) previous_[next_[at]] = at;
    if (pair_up(at)) std::push_heap(heap_.begin(), heap_.end(), lowest_first);
    if (previous_[at] >= 0 && pair_up(previous_[at])) std::push_heap(heap_.begin(), heap_.end(), lowest_first);
  }
}

}  // namespace tern
