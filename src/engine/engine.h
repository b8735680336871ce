// Tokens in, tokens out: the engine owns scheduler, KV cache and runner, and advances all sequences step by step.
//
// One thread at a time calls it (run and chat: the main thread; a server: its engine thread, see api/service.h). A
// step is schedule, submit, finish, commit, sample; what happened comes back as TokenEvents in the order of the batch.
// As many steps as the runner takes are in flight: the next is scheduled while the last runs, with tokens that only the
// runner knows.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/clock.h"
#include "engine/batch.h"
#include "engine/count_slots.h"
#include "engine/energy_account.h"
#include "engine/kv/kv_cache.h"
#include "engine/request.h"
#include "engine/runner/runner.h"
#include "engine/sampler.h"
#include "engine/scheduler/scheduler.h"

namespace tern {

struct EngineOptions {
  int64_t max_model_len = 0;  // prompt and answer together
  int64_t block_tokens = 16;
  int64_t vocabulary = 0;
  bool prefix_caching = true;
  std::string model_name;  // part of the name of every cached prefix
  SchedulerOptions scheduler;
  KernelSelection kernels;
  EnergyAccount::Meter energy;  // joules that the device has taken; empty: not counted
};

// Gauges as of the last step, and counters since the start.
struct EngineStats {
  // Steps by the tokens they computed: bucket i holds those of at most 2^i, the last all others.
  static constexpr size_t kStepBuckets = 15;

  int64_t waiting = 0, running = 0;
  int32_t kv_blocks = 0, kv_blocks_free = 0;  // free: unreferenced, cached ones included
  int32_t kv_blocks_cached = 0;               // unreferenced, but found again by their tokens
  double kv_waste_ratio = 0;                  // 1 - tokens / (referenced blocks x block length)

  int64_t steps = 0, step_tokens = 0;
  std::array<int64_t, kStepBuckets> steps_by_tokens{};
  int64_t prompt_tokens = 0, prompt_tokens_cached = 0, answer_tokens = 0;
  int64_t prefix_cache_queries = 0, prefix_cache_hits = 0;  // tokens
  int64_t preemptions = 0;
  EnergyTotals energy;
  int64_t runner_ns = 0, sampler_ns = 0, host_ns = 0;  // of steps: in the runner, in the sampler, and all the rest
};

class Engine {
 public:
  Engine(std::unique_ptr<Runner> runner, const EngineOptions& options, std::shared_ptr<const Clock> clock);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Takes the request in and gives it an id. Throws a bad-input error (naming both numbers) when the prompt is empty,
  // leaves no room for an answer, or holds a token that the model does not have. `sibling`: a request with the same
  // prompt, so that it is computed once for both; ignored when that one has begun to answer or is gone.
  RequestId submit(Request request, RequestId sibling = 0);
  // What submit() refuses, alone; afterwards max_tokens is what the context leaves at most. Reads only what never
  // changes, so any thread may call it.
  void check(const std::vector<int32_t>& prompt, int64_t& max_tokens) const;
  // Ends the request at the next step with finish reason kCancelled; unknown ids are ignored (it may just have ended).
  void cancel(RequestId id);
  // What has become of a request so far; nothing once it has ended.
  std::optional<RequestReport> report(RequestId id) const;
  // Schedules a step, and finishes the oldest one in flight where no more may be; appends what happened to `events`.
  // False when nothing is left to do.
  bool step(std::vector<TokenEvent>& events);

  EngineStats stats() const;
  const Runner& runner() const { return *runner_; }
  const EngineOptions& options() const { return options_; }

 private:
  // A step that the runner has begun.
  struct Flight {
    StepPlan plan;
    Batch batch;
    int64_t begin_ns = 0;
  };
  // A token to be drawn: a sequence and the row of logits that it draws from.
  struct Draw {
    Sequence* sequence;
    size_t row;
    int32_t token = -1;
    bool drawn = false;  // by the runner
    std::optional<TokenLogprobs> logprobs = {};
  };

  void drop_cancelled(std::vector<TokenEvent>& events);
  bool schedule(std::vector<TokenEvent>& events);
  void submit(Flight& flight);
  bool drawn_by_runner(const Request& request) const;
  void fill_draws(Batch& batch);
  TokenDraw draw_of(Sequence& sequence, Batch& batch);
  void finish_oldest(std::vector<TokenEvent>& events);
  void collect_draws(const Flight& flight, const StepResult& result);
  void draw_all(std::span<const float> logits);
  void draw(Draw& draw, std::span<const float> logits, Sampler& sampler) const;
  TokenEvent take_token(Draw& draw, int64_t time_ns);
  // Closes the report of the event's request, gives it to the event, and lets the sequence go.
  void finish(Sequence& sequence, TokenEvent& event);
  void end_without_token(Sequence& sequence, FinishReason reason, std::vector<TokenEvent>& events);
  void destroy_released();
  void count_step(const StepShape& shape);
  void count_energy(const StepPlan& plan, double step_ns);
  void charge_sequences();
  void charge(Sequence& sequence);
  std::optional<double> joules_of(Sequence& sequence);
  Flight& flight(size_t age) { return flights_[(oldest_ + age) % flights_.size()]; }

  std::unique_ptr<Runner> runner_;
  EngineOptions options_;
  std::shared_ptr<const Clock> clock_;
  KvCache kv_;
  Scheduler scheduler_;
  CountSlots count_slots_;
  StepCostFit cost_;
  EnergyAccount energy_;
  std::unordered_map<RequestId, std::unique_ptr<Sequence>> sequences_;
  std::vector<Sampler> samplers_;  // one a worker
  std::vector<Draw> draws_;
  std::vector<Flight> flights_;  // a ring, [runner's depth]
  size_t oldest_ = 0, flying_ = 0;
  int64_t finished_ns_ = 0;  // the last step
  std::vector<Sequence*> released_;
  RequestId next_id_ = 1;
  bool any_cancelled_ = false;
  EngineStats totals_;
};

}  // namespace tern
