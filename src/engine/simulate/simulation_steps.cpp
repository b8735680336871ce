// A batch of the simulation: scheduled, run on the fake device, committed, sampled.
#include <algorithm>
#include <cmath>
#include <string>

#include "core/clock.h"
#include "engine/simulate/simulation.h"

namespace tern {
namespace {

// The only use of real time: what the scheduler itself takes.
class WallTime {
 public:
  explicit WallTime(int64_t& sum) : sum_(sum), begin_(SteadyClock().now_ns()) {}
  ~WallTime() { sum_ += SteadyClock().now_ns() - begin_; }
  WallTime(const WallTime&) = delete;
  WallTime& operator=(const WallTime&) = delete;

 private:
  int64_t& sum_;
  int64_t begin_;
};

// Only what a batch reaches is in use by it: whole tiles from the first position that it sees.
void take_tables(Flight& flight, const FakeModel& model, const SimulationOptions& options) {
  flight.groups = options.groups.size();
  flight.blocks.clear();
  flight.at.clear();
  for (const ScheduledSequence& item : flight.plan.sequences) {
    for (size_t g = 0; g < flight.groups; ++g) {
      const std::vector<int32_t>& blocks = item.sequence->kv.groups[g].blocks;
      const auto first = static_cast<size_t>(model.first_seen(g, item.begin) / options.reach_tokens *
                                             options.reach_tokens / options.block_tokens);
      flight.at.emplace_back(flight.blocks.size(), blocks.size());
      flight.blocks.insert(flight.blocks.end(), blocks.begin(), blocks.end());
      std::fill_n(flight.blocks.end() - static_cast<int64_t>(blocks.size()), std::min(first, blocks.size()),
                  KvCache::kNoBlock);
    }
  }
}

}  // namespace

// False when there is nothing to run.
bool Simulation::schedule() {
  std::unique_ptr<Flight> flight = spare_.empty() ? std::make_unique<Flight>() : std::move(spare_.back());
  if (!spare_.empty()) spare_.pop_back();
  {
    const WallTime watch(result_.scheduler_ns);
    scheduler_.schedule(now_ns_, flight->plan);
  }
  for (const Sequence* expired : flight->plan.expired) end(of(expired), FinishReason::kTimeout);
  const bool empty = flight->plan.empty();
  if (!empty) {
    if (options_.verify) take_tables(*flight, model_, options_);
    trace_plan(flight->plan);
    device_ns_ = std::max(device_ns_, now_ns_) + std::llround(options_.cost.predict_ns(flight->plan.shape));
    flight->done_ns = device_ns_;
    flights_.push_back(std::move(flight));
  } else {
    spare_.push_back(std::move(flight));
  }
  if (options_.verify) invariants_.scheduled(live_, flights_, empty ? nullptr : flights_.back().get());
  if (!empty && saboteur_ != nullptr) saboteur_->scheduled(kv_, flights_.back()->plan);
  return !empty;
}

void Simulation::trace_plan(const StepPlan& plan) {
  for (const BlockCopy& copy : plan.copies)
    trace(static_cast<uint64_t>(copy.from) << 32 | static_cast<uint32_t>(copy.to));
  for (const ScheduledSequence& item : plan.sequences) {
    trace(item.sequence->request.id);
    trace(static_cast<uint64_t>(item.begin) << 32 | static_cast<uint64_t>(item.tokens) << 1 | (item.samples ? 1 : 0));
    for (const KvTable::Group& group : item.sequence->kv.groups) trace(static_cast<uint64_t>(group.blocks.back()));
  }
}

void Simulation::commit() {
  std::unique_ptr<Flight> flight = std::move(flights_.front());
  flights_.pop_front();
  StepPlan& plan = flight->plan;
  idle_turns_ = 0;
  ++result_.steps;
  result_.scheduled_sequences += static_cast<int64_t>(plan.sequences.size());
  const int64_t from_ns = now_ns_;
  now_ns_ = std::max(now_ns_, flight->done_ns);
  watch_waste(from_ns);
  run_on_device(*flight);
  {
    const WallTime watch(result_.scheduler_ns);
    scheduler_.commit(plan);
  }
  if (options_.verify) invariants_.committed(*flight);
  if (saboteur_ != nullptr) saboteur_->committed(kv_, plan);
  happen(Phase::kCommitted);
  for (size_t i = 0; i < plan.sequences.size(); ++i) {
    if (!plan.sequences[i].samples) continue;
    const Sequence* leader = plan.sequences[i].sequence;
    sample(of(leader), logits_[i]);
    for (const StepPlan::Fork& fork : plan.forks) {
      if (fork.leader != leader) continue;
      ++result_.forks;
      SimulatedSequence& follower = of(fork.follower);
      follower.chain.append(model_.sample(logits_[i].value_or(0), follower.request->seed));
      sample(follower, logits_[i]);
    }
  }
  trace(static_cast<uint64_t>(now_ns_));
  spare_.push_back(std::move(flight));
  happen(Phase::kSampled);
}

void Simulation::run_on_device(Flight& flight) {
  const StepPlan& plan = flight.plan;
  logits_.assign(plan.sequences.size(), std::nullopt);
  if (options_.verify) {
    for (const BlockCopy& copy : plan.copies) device_.copy(copy);
  }
  std::vector<std::span<const int32_t>> tables(kv_.groups());
  for (size_t i = 0; i < plan.sequences.size(); ++i) {
    const ScheduledSequence& item = plan.sequences[i];
    SimulatedSequence& one = of(item.sequence);
    const int64_t end = item.begin + item.tokens;
    const Fault& fault = one.request->fault;
    const bool not_finite = item.samples && fault.kind == Fault::Kind::kNotFinite &&
                            end - static_cast<int64_t>(one.request->prompt.size()) == fault.turn;
    if (options_.verify) {
      for (size_t g = 0; g < tables.size(); ++g) tables[g] = flight.table(i, g);
      logits_[i] =
          device_.run({tables, &one.chain, item.begin, item.tokens, one.request->id, one.request->salt, not_finite});
    } else if (item.samples && !not_finite) {
      logits_[i] = one.chain.logits();
    }
    if (!item.samples) continue;
    if (end != one.chain.size() || (logits_[i] && *logits_[i] != one.chain.logits())) {
      throw SimulationFailure("I4: request " + std::to_string(one.request->id) + " gets a wrong token");
    }
    one.chain.append(model_.sample(logits_[i].value_or(0), one.request->seed));
  }
}

void Simulation::sample(SimulatedSequence& one, std::optional<uint64_t> logits) {
  if (one.ended) return;
  Sequence& s = one.sequence;
  if (!logits) {
    kv_.withdraw(s.kv);
    return end(one, FinishReason::kError);
  }
  const int32_t token = one.chain.token(s.known());
  s.answer.push_back(token);
  one.received.push_back(token);
  trace(static_cast<uint64_t>(token));
  ++result_.answer_tokens;
  const auto length = static_cast<int64_t>(s.answer.size());
  if (one.request->stops && token == FakeModel::kEndToken) return end(one, FinishReason::kStop);
  if (length >= s.request.max_tokens) return end(one, FinishReason::kLength);
  if (length >= one.request->length) return end(one, FinishReason::kStop);
}

}  // namespace tern
