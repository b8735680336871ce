// The invariants of scheduler and KV cache, checked from outside while a simulation runs:
//   I1 free + referenced + cached = total            I2 a block's count is the number of tables that hold it
//   I3 what has two owners or can be found is not written; what a batch in flight uses is not given away
//   I4 who shares a block has the same root and the same tokens up to its end
//   I5 only what is written can be found             I6 each request ends once
//   I7 at idle nothing is held                       I8 nobody waits while there is ample room, is overtaken or
//   preempted I9 a client gets what was sampled, in order         beyond the bounds; the simulation always goes on
// Some at every step, a scan of everything each 64th. A broken one throws SimulationFailure. Owned by a Simulation.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/simulate/fake_device.h"
#include "engine/simulate/flight.h"
#include "engine/simulate/options.h"

namespace tern {

// How near the bounds it came.
struct Extremes {
  int64_t overtaken = 0, idle_waits = 0;
  int32_t preemptions = 0;
};

class Invariants {
 public:
  using Flights = std::deque<std::unique_ptr<Flight>>;
  using Live = std::vector<SimulatedSequence*>;

  Invariants(const SimulationOptions& options, const KvCache& kv, const Scheduler& scheduler, const FakeDevice& device);

  // schedule() has run; `flight` is null when the plan is empty, else the last of `flights`.
  void scheduled(const Live& live, const Flights& flights, const Flight* flight);
  void committed(const Flight& flight);
  // After whatever happens.
  void each_turn(const Live& live, const Flights& flights);
  void full_scan(const Live& live) const;
  void at_idle() const;
  static void ended_well(const SimulatedSequence& one, FinishReason reason);

  const Extremes& extremes() const { return extremes_; }

 private:
  static void require(bool holds, const char* invariant, const std::string& what);
  void check_plan(const StepPlan& plan) const;
  void check_item(const Flights& flights, const Flight& flight, size_t item);
  void check_writes(const Flights& flights, const Flight& flight, size_t item, size_t group);
  void check_trimmed(const Sequence& s) const;
  void check_found(const SimulatedSequence& one) const;
  void watch_admissions(const Live& live);
  void watch_idle_waits(const Live& live);
  bool ample_room(const Live& live, const Sequence& candidate) const;
  void scan_group(const Live& live, size_t group) const;

  const SimulationOptions& options_;
  const KvCache& kv_;
  const Scheduler& scheduler_;
  const FakeDevice& device_;
  std::vector<std::vector<int32_t>> uses_;  // [groups][blocks]: by tables in flight
  int64_t turns_ = 0;
  Extremes extremes_;
};

}  // namespace tern
