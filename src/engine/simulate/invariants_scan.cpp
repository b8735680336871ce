// What is checked at every turn, in the full scan, and at idle.
#include <algorithm>
#include <string>

#include "engine/simulate/invariants.h"

namespace tern {
namespace {

constexpr int64_t kFullScanEvery = 64;

std::string named(const Sequence& s) { return "request " + std::to_string(s.request.id); }

}  // namespace

void Invariants::each_turn(const Live& live, const Flights& flights) {
  for (const auto& flight : flights) {
    for (size_t i = 0; i < flight->plan.sequences.size(); ++i) {
      for (size_t g = 0; g < kv_.groups(); ++g) {
        for (const int32_t block : flight->table(i, g)) {
          require(block == KvCache::kNoBlock || kv_.pool(g).references(block) > 0, "I3",
                  "block " + std::to_string(block) + " is used in flight and given away");
        }
      }
    }
  }
  if (++turns_ % kFullScanEvery == 0) full_scan(live);
}

void Invariants::full_scan(const Live& live) const {
  for (size_t g = 0; g < kv_.groups(); ++g) scan_group(live, g);
}

void Invariants::scan_group(const Live& live, size_t group) const {
  const BlockPool& pool = kv_.pool(group);
  const int64_t size = options_.block_tokens;
  std::vector<int32_t> held(static_cast<size_t>(pool.total()), 0);
  std::vector<const SimulatedSequence*> holder(held.size(), nullptr);
  std::vector<int64_t> place(held.size(), 0);
  for (const SimulatedSequence* one : live) {
    if (one->sequence.kv.groups.empty()) continue;
    const KvTable::Group& table = one->sequence.kv.groups[group];
    for (size_t i = 0; i < table.blocks.size(); ++i) {
      const bool there = static_cast<int64_t>(i) >= table.first;
      require(there == (table.blocks[i] != KvCache::kNoBlock), "I2", named(one->sequence) + ": a hole in its table");
      if (!there) continue;
      const auto block = static_cast<size_t>(table.blocks[i]);
      const auto end = static_cast<int64_t>(i + 1) * size;
      if (held[block]++ == 0) {
        holder[block] = one;
        place[block] = end;
        continue;
      }
      const SimulatedSequence& other = *holder[block];
      require(place[block] == end && other.request->salt == one->request->salt && other.chain.size() >= end &&
                  one->chain.size() >= end && other.chain.value(end - 1) == one->chain.value(end - 1),
              "I4", named(one->sequence) + " and " + named(other.sequence) + " share block " + std::to_string(block));
    }
  }
  int32_t referenced = 0, cached = 0;
  for (int32_t block = 0; block < pool.total(); ++block) {
    const bool findable = kv_.index().holds(group, block);
    require(pool.references(block) == held[static_cast<size_t>(block)], "I2",
            "block " + std::to_string(block) + " has " + std::to_string(pool.references(block)) + " references and " +
                std::to_string(held[static_cast<size_t>(block)]) + " holders");
    require(!findable || device_.whole(group, block), "I5",
            "block " + std::to_string(block) + " can be found unwritten");
    referenced += pool.references(block) > 0 ? 1 : 0;
    cached += pool.references(block) == 0 && findable ? 1 : 0;
  }
  require(referenced == pool.referenced() && cached == pool.cached() && pool.available() >= pool.cached(), "I1",
          "the pool counts " + std::to_string(pool.referenced()) + " referenced and " + std::to_string(pool.cached()) +
              " cached blocks, there are " + std::to_string(referenced) + " and " + std::to_string(cached));
}

void Invariants::at_idle() const {
  full_scan({});
  const SchedulerStats stats = scheduler_.stats();
  require(stats.waiting == 0 && stats.running == 0 && scheduler_.running().empty(), "I7",
          "the scheduler holds sequences at idle");
  for (size_t g = 0; g < kv_.groups(); ++g) {
    require(kv_.pool(g).referenced() == 0, "I7", "blocks are referenced at idle");
    for (const int32_t uses : uses_[g]) require(uses == 0, "I7", "a batch is in flight at idle");
  }
}

}  // namespace tern
