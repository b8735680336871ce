// What the simulation keeps of a request in the system, and of a batch in flight. Plain values.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/kv/block_hash.h"
#include "engine/scheduler/scheduler.h"
#include "engine/simulate/fake_model.h"
#include "engine/simulate/load.h"

namespace tern {

struct SimulatedSequence {
  explicit SimulatedSequence(const FakeModel& model) : chain(model) {}
  Sequence sequence;
  const SimulatedRequest* request = nullptr;
  TokenChain chain;               // prompt and answer, as far as the device knows it
  std::vector<int32_t> received;  // by the client
  int32_t turn = 0;               // of the loop since it came
  bool ended = false;
  // Of the invariants.
  bool waited = false;  // before the last schedule()
  int64_t overtaken = 0, idle_waits = 0;
  int32_t preemptions = 0;
};

// A batch that was scheduled and has not been committed, with the tables as they were handed to the device.
struct Flight {
  StepPlan plan;
  int64_t done_ns = 0;
  size_t groups = 1;
  std::vector<int32_t> blocks;                // all tables, one after the other
  std::vector<std::pair<size_t, size_t>> at;  // [sequences * groups]: begin and count in `blocks`
  std::span<const int32_t> table(size_t item, size_t group) const {
    const auto [begin, count] = at[item * groups + group];
    return {blocks.data() + begin, count};
  }
};

// Names of 4 bits: whatever shares by name alone shares wrongly.
class WeakHasher final : public BlockHasher {
 public:
  BlockKey key(const BlockKey& parent, std::span<const int32_t> tokens) override {
    uint64_t hash = parent[0];
    for (const int32_t token : tokens) hash = mix64(hash ^ static_cast<uint64_t>(token));
    BlockKey key{};
    key[0] = static_cast<uint8_t>(hash & 15);
    return key;
  }
};

}  // namespace tern
