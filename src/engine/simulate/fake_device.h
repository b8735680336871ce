// The simulator's device: pages that hold what was written into them, read back through block tables.
//
// A batch runs when the simulation says that it is done, with the tables as they were when it was scheduled: until then
// nothing of it is written. Reading a position that does not hold this sequence's own past (another token, another
// place, another salt, never written, not finite) throws SimulationFailure. Single owner.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/kv/kv_cache.h"
#include "engine/simulate/fake_model.h"

namespace tern {

// An invariant does not hold. The message begins with its name.
struct SimulationFailure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class FakeDevice {
 public:
  FakeDevice(const FakeModel& model, std::span<const KvGroup> groups, int64_t block_tokens, int64_t reach_tokens);

  struct Work {
    std::span<const std::span<const int32_t>> tables;  // [groups][blocks]
    const TokenChain* chain;                           // what is computed
    int64_t begin, tokens;                             // positions
    int64_t owner;                                     // a request's id
    int32_t salt;
    bool not_finite;  // what is written is not
  };
  void copy(const BlockCopy& copy);
  // Computes the positions; returns the last one's logits from the pages that it reads, nothing when not finite.
  std::optional<uint64_t> run(const Work& work);

  // Does the page hold these positions of the chain, completely and finite?
  bool holds(size_t group, int32_t block, const TokenChain& chain, int64_t begin, int32_t salt) const;
  // Is the page written from its first place to its last, by one chain and finite?
  bool whole(size_t group, int32_t block) const;

 private:
  struct Slot {
    uint64_t value = 0;
    int64_t owner = -1;  // who wrote it
    int32_t position = -1, token = 0, salt = 0;
    bool finite = true;
  };
  Slot* page(size_t group, int32_t block) { return &slots_[group][static_cast<size_t>(block * block_tokens_)]; }
  const Slot* page(size_t group, int32_t block) const {
    return &slots_[group][static_cast<size_t>(block * block_tokens_)];
  }
  Slot& slot(const Work& work, size_t group, int64_t position);
  void write(const Work& work, size_t group);
  uint64_t read(const Work& work, size_t group, bool& finite);
  void check_reach(const Work& work, size_t group) const;

  const FakeModel& model_;
  int64_t block_tokens_, reach_tokens_;
  std::vector<std::vector<Slot>> slots_;  // [groups][blocks * block_tokens]
};

}  // namespace tern
