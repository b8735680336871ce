// The engine's loop with everything around the scheduler and the KV cache made up: load, device, tokens and clock. One
// seed gives one course of events, whose hash is `trace_hash`. Single owner, one thread.
//
// The loop keeps 1..depth batches in flight, a new number each turn: it schedules while there are fewer, else lets the
// oldest one end: the device runs it, the scheduler commits it, its rows are sampled. Faults happen between any two of
// these. With options.verify the invariants of simulate/invariants.h are checked all along; a broken one throws
// SimulationFailure.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/simulate/draws.h"
#include "engine/simulate/fake_device.h"
#include "engine/simulate/flight.h"
#include "engine/simulate/invariants.h"
#include "engine/simulate/load.h"

namespace tern {

struct SimulationResult {
  int64_t requests = 0, steps = 0, simulated_ns = 0;
  int64_t prompt_tokens = 0, cached_tokens = 0, answer_tokens = 0;
  int64_t preemptions = 0, forks = 0;
  int64_t peak_blocks = 0;            // referenced, of the first group
  std::array<int64_t, 6> finished{};  // [FinishReason]
  double kv_waste = 0;  // 1 - tokens / (referenced blocks x block length), over time, without rise and fall
  uint64_t trace_hash = 0;
  int64_t scheduler_ns = 0, scheduled_sequences = 0;  // wall time in schedule() and commit(); places in all steps
  Extremes extremes;
};

// What a test does to the parts that are proved, to see that it is noticed.
class Saboteur {
 public:
  virtual ~Saboteur() = default;
  virtual void scheduled(KvCache& /*kv*/, const StepPlan& /*plan*/) {}
  virtual void committed(KvCache& /*kv*/, const StepPlan& /*plan*/) {}
};

class Simulation {
 public:
  // Of `load` those requests that are there; it outlives the simulation.
  Simulation(const SimulationOptions& options, const FakeModel& model, std::span<const SimulatedRequest> load,
             Saboteur* saboteur = nullptr);
  SimulationResult run();

 private:
  static KvOptions kv_options(const SimulationOptions& options, BlockHasher* hasher);

  // simulation.cpp
  void arrive();
  void await(const SimulatedRequest& request);
  void submit(const SimulatedRequest& request);
  void happen(Phase phase);
  void wait_for_something();
  void end(SimulatedSequence& one, FinishReason reason);
  void destroy_released();
  void watch_waste(int64_t from_ns);
  void finish_run();
  // simulation_steps.cpp
  bool schedule();
  void commit();
  void run_on_device(Flight& flight);
  void sample(SimulatedSequence& one, std::optional<uint64_t> logits);
  void trace(uint64_t word) { result_.trace_hash = mix64(result_.trace_hash ^ word); }
  void trace_plan(const StepPlan& plan);
  SimulatedSequence& of(const Sequence* sequence) { return *by_id_[static_cast<size_t>(sequence->request.id)]; }

  const SimulationOptions& options_;
  const FakeModel& model_;
  std::span<const SimulatedRequest> load_;
  Saboteur* saboteur_;
  WeakHasher weak_hasher_;
  KvCache kv_;
  Scheduler scheduler_;
  FakeDevice device_;
  Draws draws_;
  Invariants invariants_;

  std::vector<const SimulatedRequest*> request_;                           // [id], null: taken out of the load
  std::vector<std::vector<int64_t>> after_;                                // [id]: whose parent or leader it is
  std::map<std::pair<int64_t, int64_t>, const SimulatedRequest*> coming_;  // by time and id
  std::vector<std::unique_ptr<SimulatedSequence>> by_id_;                  // [id], there while it is in the system
  std::vector<SimulatedSequence*> live_;                                   // by arrival
  std::deque<std::unique_ptr<Flight>> flights_;                            // oldest first
  std::vector<std::unique_ptr<Flight>> spare_;
  std::vector<Sequence*> released_;
  std::vector<std::optional<uint64_t>> logits_;  // [sequences of the batch that has just run]
  int64_t now_ns_ = 0, device_ns_ = 0;
  int64_t open_ = 0, ended_ = 0, idle_turns_ = 0;
  double waste_sum_ = 0, waste_ns_ = 0;
  SimulationResult result_;
};

}  // namespace tern
