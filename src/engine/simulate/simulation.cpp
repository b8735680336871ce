#include "engine/simulate/simulation.h"

#include <algorithm>
#include <string>

namespace tern {
namespace {

// Turns in which nothing runs and nothing ends: a preemption on the way may cost one.
constexpr int64_t kMostIdleTurns = 3;

}  // namespace

KvOptions Simulation::kv_options(const SimulationOptions& options, BlockHasher* hasher) {
  return {.groups = options.groups,
          .block_tokens = options.block_tokens,
          .max_step_tokens = options.scheduler.max_batched_tokens,
          .reach_tokens = options.reach_tokens,
          .prefix_caching = options.prefix_caching,
          .model = "simulated",
          .adapter = {},
          .hasher = options.weak_hash ? hasher : nullptr};
}

Simulation::Simulation(const SimulationOptions& options, const FakeModel& model, std::span<const SimulatedRequest> load,
                       Saboteur* saboteur)
    : options_(options),
      model_(model),
      load_(load),
      saboteur_(saboteur),
      kv_(kv_options(options, &weak_hasher_)),
      scheduler_(options.scheduler, kv_),
      device_(model, options.groups, options.block_tokens, options.reach_tokens),
      draws_(mix64(options.load.seed)),
      invariants_(options, kv_, scheduler_, device_) {
  scheduler_.set_cost(options.cost);
  int64_t ids = 0;
  for (const SimulatedRequest& request : load) ids = std::max(ids, request.id + 1);
  request_.resize(static_cast<size_t>(ids));
  after_.resize(request_.size());
  by_id_.resize(request_.size());
  for (const SimulatedRequest& request : load) request_[static_cast<size_t>(request.id)] = &request;
  for (const SimulatedRequest& request : load) await(request);
  result_.requests = static_cast<int64_t>(load.size());
}

// A turn comes after the one before it, a sibling with its leader, all others one after the other.
void Simulation::await(const SimulatedRequest& request) {
  for (const int64_t before : {request.leader, request.parent}) {
    if (before >= 0 && request_[static_cast<size_t>(before)] != nullptr) {
      after_[static_cast<size_t>(before)].push_back(request.id);
      return;
    }
  }
  device_ns_ += request.pause_ns;  // until it runs, the arrival of the last one
  coming_.emplace(std::pair(device_ns_, request.id), &request);
}

SimulationResult Simulation::run() {
  device_ns_ = 0;
  while (!coming_.empty() || !live_.empty()) {
    arrive();
    for (SimulatedSequence* one : live_) ++one->turn;
    happen(Phase::kBeforeSchedule);
    const auto depth = static_cast<size_t>(1 + draws_.below(options_.depth));
    bool scheduled = false;
    if (flights_.size() < depth) scheduled = schedule();
    if (scheduled) happen(Phase::kInFlight);
    if (!flights_.empty() && (!scheduled || flights_.size() >= depth)) {
      commit();
    } else if (!scheduled) {
      wait_for_something();
    }
    destroy_released();
    if (options_.verify) invariants_.each_turn(live_, flights_);
  }
  finish_run();
  return result_;
}

void Simulation::finish_run() {
  if (options_.verify) invariants_.at_idle();
  result_.simulated_ns = now_ns_;
  result_.preemptions = scheduler_.stats().preemptions;
  result_.kv_waste = waste_ns_ > 0 ? waste_sum_ / waste_ns_ : 0;
  result_.extremes = invariants_.extremes();
}

void Simulation::arrive() {
  while (!coming_.empty() && coming_.begin()->first.first <= now_ns_ &&
         (options_.clients == 0 || open_ < options_.clients)) {
    const SimulatedRequest* request = coming_.begin()->second;
    coming_.erase(coming_.begin());
    submit(*request);
  }
}

void Simulation::submit(const SimulatedRequest& request) {
  auto& one = by_id_[static_cast<size_t>(request.id)];
  one = std::make_unique<SimulatedSequence>(model_);
  one->request = &request;
  for (const int32_t token : request.prompt) one->chain.append(token);
  one->sequence.drawn_by_runner = request.id % 4 != 0;
  Request& asked = one->sequence.request;
  asked.id = static_cast<RequestId>(request.id);
  asked.prompt = request.prompt;
  asked.max_tokens = request.max_tokens;
  asked.scheduling = {.priority = request.priority,
                      .tenant = request.tenant,
                      .deadline_ns = request.deadline_ns > 0 ? now_ns_ + request.deadline_ns : 0,
                      .cache_salt = request.salt == 0 ? std::string() : std::to_string(request.salt)};
  live_.push_back(one.get());
  ++open_;
  result_.prompt_tokens += static_cast<int64_t>(request.prompt.size());
  SimulatedSequence* leader = request.leader < 0 ? nullptr : by_id_[static_cast<size_t>(request.leader)].get();
  scheduler_.add(&one->sequence, leader == nullptr ? nullptr : &leader->sequence);
  one->waited = one->sequence.state == SequenceState::kWaiting;
  for (const int64_t id : after_[static_cast<size_t>(request.id)]) {
    const SimulatedRequest& other = *request_[static_cast<size_t>(id)];
    if (other.leader == request.id) submit(other);
  }
}

void Simulation::happen(Phase phase) {
  for (SimulatedSequence* one : live_) {
    const Fault& fault = one->request->fault;
    if (fault.kind != Fault::Kind::kCancel || fault.phase != phase || one->turn < fault.turn || one->ended) continue;
    end(*one, FinishReason::kCancelled);
  }
}

// Nothing is in flight and nothing can be scheduled: the next request must be awaited.
void Simulation::wait_for_something() {
  if (live_.empty() && !coming_.empty()) {
    now_ns_ = std::max(now_ns_, coming_.begin()->first.first);
    return;
  }
  const bool all_ended = std::all_of(live_.begin(), live_.end(), [](const auto* one) { return one->ended; });
  if (all_ended) return;
  if (++idle_turns_ > kMostIdleTurns) {
    throw SimulationFailure("I8: nothing runs, and " + std::to_string(live_.size()) + " requests wait, the first is " +
                            std::to_string(live_.front()->request->id));
  }
}

void Simulation::end(SimulatedSequence& one, FinishReason reason) {
  if (options_.verify) Invariants::ended_well(one, reason);
  one.ended = true;
  --open_;
  ++ended_;
  ++result_.finished[static_cast<size_t>(reason)];
  result_.cached_tokens += one.sequence.report.cached_tokens;
  trace(static_cast<uint64_t>(one.request->id) * 8 + static_cast<uint64_t>(reason));
  scheduler_.end(&one.sequence);
  for (const int64_t id : after_[static_cast<size_t>(one.request->id)]) {
    const SimulatedRequest& other = *request_[static_cast<size_t>(id)];
    if (other.parent == one.request->id) coming_.emplace(std::pair(now_ns_ + other.pause_ns, id), &other);
  }
}

void Simulation::destroy_released() {
  released_.clear();
  scheduler_.take_released(released_);
  if (released_.empty()) return;
  for (const Sequence* sequence : released_) {
    SimulatedSequence& one = of(sequence);
    if (!one.ended || sequence->in_flight != 0) throw SimulationFailure("I6: released before it has ended");
    std::erase(live_, &one);
    by_id_[static_cast<size_t>(sequence->request.id)].reset();
  }
}

// Over time, while neither the first nor the last tenth of the requests determines what runs.
void Simulation::watch_waste(int64_t from_ns) {
  result_.peak_blocks = std::max<int64_t>(result_.peak_blocks, kv_.pool(0).referenced());
  if (ended_ * 10 < result_.requests || ended_ * 10 > result_.requests * 9) return;
  const int64_t slots = kv_.pool(0).referenced() * options_.block_tokens;
  if (slots == 0) return;
  const auto duration = static_cast<double>(now_ns_ - from_ns);
  waste_sum_ += duration * static_cast<double>(scheduler_.stats().unfilled_slots) / static_cast<double>(slots);
  waste_ns_ += duration;
}

}  // namespace tern
