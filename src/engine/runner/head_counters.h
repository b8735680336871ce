// Which KV heads are complete: their queries rotated, their keys and values in the cache. With it attention begins
// behind the product that makes them without a wait of all workers: who computes a KV head waits for that head's
// columns alone, which are mostly its own work or long done.
//
// Counts grow from layer to layer within a step of the engine. All workers of a team; reset() between steps.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "core/thread_pool.h"

namespace tern {

class HeadCounters {
 public:
  HeadCounters(int64_t heads, int64_t kv_heads)
      : heads_(heads), kv_heads_(kv_heads), counts_(static_cast<size_t>(kv_heads)) {}

  void reset() {
    for (Count& count : counts_) count.heads.store(0, std::memory_order_relaxed);
  }
  // Heads [begin, end) of q, then of k, then of v, side by side, are complete for all tokens of the step.
  void add(int64_t begin, int64_t end) {
    for (int64_t head = begin; head < end; ++head) {
      std::atomic<uint32_t>& count = counts_[static_cast<size_t>(kv_head_of(head))].heads;
      count.fetch_add(1, std::memory_order_release);
      count.notify_all();
    }
  }
  void add_all() { add(0, heads_ + 2 * kv_heads_); }
  // Until `kv_head` is complete in the first `layers` layers of the step.
  void wait(const Team& team, int64_t kv_head, uint32_t layers) {
    team.wait_for(counts_[static_cast<size_t>(kv_head)].heads, layers * static_cast<uint32_t>(heads_ / kv_heads_ + 2));
  }

 private:
  struct alignas(64) Count {
    std::atomic<uint32_t> heads{0};
  };
  int64_t kv_head_of(int64_t head) const {
    if (head < heads_) return head / (heads_ / kv_heads_);
    return (head - heads_) % kv_heads_;
  }

  int64_t heads_, kv_heads_;
  std::vector<Count> counts_;  // [kv_heads]
};

}  // namespace tern
