#include "engine/engine.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <new>
#include <utility>

#include "core/error.h"
#include "core/rng.h"

namespace tern {
namespace {

KvOptions kv_options(const Runner& runner, const EngineOptions& options) {
  return {.groups = runner.kv_groups(),
          .block_tokens = options.block_tokens,
          .max_step_tokens = options.scheduler.max_batched_tokens,
          .prefix_caching = options.prefix_caching,
          .model = options.model_name};
}

TokenLogprobs logprobs_of(const GpuLogprobs& row) {
  TokenLogprobs out{.logprob = row.drawn, .top = {}};
  for (int32_t i = 0; i < row.count; ++i) out.top.emplace_back(row.ids[i], row.values[i]);
  return out;
}

}  // namespace

Engine::Engine(std::unique_ptr<Runner> runner, const EngineOptions& options, std::shared_ptr<const Clock> clock)
    : runner_(std::move(runner)),
      options_(options),
      clock_(std::move(clock)),
      kv_(kv_options(*runner_, options)),
      scheduler_(options.scheduler, kv_),
      count_slots_(runner_->count_slots()),
      energy_(options.energy),
      samplers_(static_cast<size_t>(runner_->pool() == nullptr ? 1 : runner_->pool()->size()),
                Sampler(options.kernels)),
      flights_(static_cast<size_t>(runner_->depth())) {
  // A sequence may be as long as the whole pool, and no longer.
  for (size_t g = 0; g < kv_.groups(); ++g) {
    options_.max_model_len =
        std::min(options_.max_model_len, static_cast<int64_t>(kv_.pool(g).total()) * options_.block_tokens);
  }
  for (Flight& flight : flights_) {
    flight.batch = Batch(kv_.groups());
    flight.batch.reserve(options.scheduler.max_batched_tokens, options.scheduler.max_sequences);
  }
  draws_.reserve(static_cast<size_t>(options.scheduler.max_sequences));
  for (Sampler& sampler : samplers_) sampler.reserve(static_cast<size_t>(options.vocabulary));
}

void Engine::check(const std::vector<int32_t>& ids, int64_t& max_tokens) const {
  const auto prompt = static_cast<int64_t>(ids.size());
  if (prompt == 0) bad_input("[request] the prompt is empty: it needs at least one token");
  if (prompt >= options_.max_model_len) {
    bad_input("[request] the prompt has " + std::to_string(prompt) + " tokens, the context holds " +
              std::to_string(options_.max_model_len) + " with at least one for the answer");
  }
  for (int32_t id : ids) {
    if (id < 0 || id >= options_.vocabulary) {
      bad_input("[request] token " + std::to_string(id) + " is not in the vocabulary of " +
                std::to_string(options_.vocabulary));
    }
  }
  const int64_t room = options_.max_model_len - prompt;
  max_tokens = max_tokens <= 0 ? room : std::min(max_tokens, room);
}

RequestId Engine::submit(Request request, RequestId sibling) {
  check(request.prompt, request.max_tokens);
  request.id = next_id_++;
  auto sequence = std::make_unique<Sequence>();
  sequence->answer.reserve(static_cast<size_t>(request.max_tokens));
  sequence->report.submitted_ns = clock_->now_ns();
  sequence->report.prompt_tokens = static_cast<int64_t>(request.prompt.size());
  sequence->drawn_by_runner = drawn_by_runner(request);
  sequence->request = std::move(request);
  const RequestId id = sequence->request.id;
  if (sequences_.empty()) energy_.resume(clock_->now_ns());
  const auto leader = sequences_.find(sibling);
  Sequence* const added = sequences_.emplace(id, std::move(sequence)).first->second.get();
  scheduler_.add(added, leader == sequences_.end() ? nullptr : leader->second.get());
  return id;
}

// Penalties need a slot for each sequence that a step in flight may draw for.
bool Engine::drawn_by_runner(const Request& request) const {
  const int64_t slots = runner_->depth() * options_.scheduler.max_sequences;
  if (request.sampling.penalizes() && count_slots_.size() < slots) return false;
  return runner_->draws(request.sampling, request.logprobs);
}

void Engine::cancel(RequestId id) {
  const auto at = sequences_.find(id);
  if (at == sequences_.end()) return;
  at->second->cancelled = true;
  any_cancelled_ = true;
}

void Engine::drop_cancelled(std::vector<TokenEvent>& events) {
  if (!any_cancelled_) return;
  any_cancelled_ = false;
  std::vector<Sequence*> dropped;
  for (const auto& [id, sequence] : sequences_) {
    if (sequence->cancelled && sequence->state != SequenceState::kEnded) dropped.push_back(sequence.get());
  }
  std::sort(dropped.begin(), dropped.end(),
            [](const Sequence* a, const Sequence* b) { return a->request.id < b->request.id; });
  for (Sequence* sequence : dropped) end_without_token(*sequence, FinishReason::kCancelled, events);
}

bool Engine::step(std::vector<TokenEvent>& events) {
  const int64_t begin_ns = clock_->now_ns(), runner_ns = totals_.runner_ns;
  drop_cancelled(events);
  const bool submitted = schedule(events);
  if (flying_ > 0 && (!submitted || flying_ == flights_.size())) finish_oldest(events);
  destroy_released();
  totals_.host_ns += clock_->now_ns() - begin_ns - (totals_.runner_ns - runner_ns);
  return !sequences_.empty();
}

// Plans the next step and gives it to the runner; false when there is nothing to compute.
bool Engine::schedule(std::vector<TokenEvent>& events) {
  Flight& next = flight(flying_);
  next.begin_ns = clock_->now_ns();
  scheduler_.schedule(next.begin_ns, next.plan);
  for (Sequence* sequence : next.plan.expired) end_without_token(*sequence, FinishReason::kTimeout, events);
  if (next.plan.empty()) return false;
  submit(next);
  return true;
}

void Engine::submit(Flight& flight) {
  flight.batch.fill(flight.plan);
  fill_draws(flight.batch);
  flight.begin_ns = clock_->now_ns();
  for (const ScheduledSequence& item : flight.plan.sequences) {
    RequestReport& report = item.sequence->report;
    if (report.started_ns == 0) report.started_ns = flight.begin_ns;
    if (item.sequence->answer.empty() && item.begin < report.prompt_tokens) totals_.prompt_tokens += item.tokens;
  }
  runner_->submit(flight.batch);
  ++flying_;
  totals_.runner_ns += clock_->now_ns() - flight.begin_ns;
}

// What the runner shall draw, and whether anybody else needs logits: those who draw here, and forks of a row.
void Engine::fill_draws(Batch& batch) {
  batch.draws.clear();
  batch.counted.clear();
  batch.logits_wanted = true;
  const auto& sequences = batch.wanted_sequence;
  if (std::none_of(sequences.begin(), sequences.end(), [](const Sequence* s) { return s->drawn_by_runner; })) return;
  batch.logits_wanted = false;
  for (Sequence* sequence : sequences) {
    batch.logits_wanted |= !sequence->drawn_by_runner || !sequence->followers.empty();
    batch.draws.push_back(sequence->drawn_by_runner ? draw_of(*sequence, batch) : TokenDraw{});
  }
}

TokenDraw Engine::draw_of(Sequence& sequence, Batch& batch) {
  const SamplingParams& params = sequence.request.sampling;
  const auto index = static_cast<uint64_t>(static_cast<int64_t>(sequence.answer.size()) + sequence.sampling - 1);
  TokenDraw draw{.temperature = params.temperature < kGreedyTemperature ? 0 : params.temperature,
                 .top_k = params.top_k,
                 .top_p = params.top_p,
                 .min_p = params.min_p,
                 .random = random_bits(params.seed, index),
                 .logit_bias = params.logit_bias,
                 .logprobs = sequence.request.logprobs};
  if (!params.penalizes()) return draw;
  if (count_slots_.place(sequence)) {
    TERN_CHECK(sequence.sampling == 1);  // all its tokens are known
    batch.counted.push_back({sequence.count_slot, sequence.request.prompt, sequence.answer});
  }
  draw.repetition_penalty = params.repetition_penalty;
  draw.presence_penalty = params.presence_penalty;
  draw.frequency_penalty = params.frequency_penalty;
  draw.count_slot = sequence.count_slot;
  return draw;
}

void Engine::finish_oldest(std::vector<TokenEvent>& events) {
  Flight& done = flight(0);
  const int64_t wait_ns = clock_->now_ns();
  const StepResult result = runner_->finish();
  const int64_t end_ns = clock_->now_ns();
  oldest_ = (oldest_ + 1) % flights_.size();
  --flying_;
  totals_.runner_ns += end_ns - wait_ns;
  const auto step_ns = static_cast<double>(end_ns - std::max(done.begin_ns, finished_ns_));
  cost_.observe(done.plan.shape, step_ns);
  finished_ns_ = end_ns;
  count_energy(done.plan, step_ns);
  scheduler_.set_cost(cost_.cost());
  scheduler_.commit(done.plan);
  collect_draws(done, result);
  draw_all(result.logits);
  const int64_t drawn_ns = clock_->now_ns();
  totals_.sampler_ns += drawn_ns - end_ns;
  for (Draw& draw : draws_) {
    if (draw.sequence->state == SequenceState::kEnded) continue;  // while the step was in flight
    events.push_back(take_token(draw, drawn_ns));
    if (events.back().finish != FinishReason::kNone) finish(*draw.sequence, events.back());
  }
  count_step(done.plan.shape);
}

void Engine::collect_draws(const Flight& flight, const StepResult& result) {
  draws_.clear();
  for (size_t row = 0; row < flight.batch.wanted_sequence.size(); ++row) {
    Sequence* sequence = flight.batch.wanted_sequence[row];
    const bool drawn = sequence->drawn_by_runner;
    draws_.push_back({sequence, row, drawn ? result.tokens[row] : -1, drawn});
    if (drawn && draws_.back().token >= 0 && sequence->request.logprobs >= 0) {
      draws_.back().logprobs = logprobs_of(result.logprobs[row]);
    }
    for (const StepPlan::Fork& fork : flight.plan.forks) {
      if (fork.leader != sequence) continue;
      fork.follower->report.started_ns = sequence->report.started_ns;
      draws_.push_back({fork.follower, row});
    }
  }
}

// Every row's token that the runner has not drawn, by all workers: a draw depends on its row and its sequence alone.
void Engine::draw_all(std::span<const float> logits) {
  std::atomic<bool> no_memory = false;
  const auto work = [&](size_t worker, int64_t begin, int64_t end) {
    try {
      for (int64_t i = begin; i < end; ++i) {
        Draw& draw = draws_[static_cast<size_t>(i)];
        if (!draw.drawn) this->draw(draw, logits, samplers_[worker]);
      }
    } catch (const std::bad_alloc&) {
      no_memory = true;
    }
  };
  const auto count = static_cast<int64_t>(draws_.size());
  const auto left = std::count_if(draws_.begin(), draws_.end(), [](const Draw& draw) { return !draw.drawn; });
  if (left < 2 || samplers_.size() < 2) {
    work(0, 0, count);
  } else {
    runner_->pool()->run([&](const Team& team) {
      const Team::Range share = team.share(count);
      work(static_cast<size_t>(team.index()), share.begin, share.end);
    });
  }
  if (no_memory) throw std::bad_alloc();
}

void Engine::draw(Draw& draw, std::span<const float> logits, Sampler& sampler) const {
  const auto vocabulary = static_cast<size_t>(options_.vocabulary);
  const std::span<const float> row = logits.subspan(draw.row * vocabulary, vocabulary);
  std::span<const float> maxima = runner_->block_maxima();
  if (!maxima.empty()) maxima = maxima.subspan(draw.row * RowScan::blocks(vocabulary), RowScan::blocks(vocabulary));
  const Request& request = draw.sequence->request;
  draw.token = sampler.sample(row, request.sampling, request.prompt, draw.sequence->answer, maxima);
  if (draw.token >= 0 && request.logprobs >= 0) {
    draw.logprobs = sampler.log_probabilities(row, draw.token, request.logprobs, maxima);
  }
}

TokenEvent Engine::take_token(Draw& draw, int64_t time_ns) {
  Sequence& sequence = *draw.sequence;
  const Request& request = sequence.request;
  TokenEvent event{.request = request.id, .token = draw.token, .time_ns = time_ns};
  if (event.token < 0) {  // NaN or no finite logit: this request fails, its neighbours do not
    event.finish = FinishReason::kError;
    kv_.withdraw(sequence.kv);
    return event;
  }
  event.logprobs = std::move(draw.logprobs);
  sequence.answer.push_back(event.token);
  if (sequence.report.first_token_ns == 0) sequence.report.first_token_ns = time_ns;
  ++totals_.answer_tokens;
  if (std::find(request.end_tokens.begin(), request.end_tokens.end(), event.token) != request.end_tokens.end()) {
    event.finish = FinishReason::kStop;
  } else if (static_cast<int64_t>(sequence.answer.size()) >= request.max_tokens) {
    event.finish = FinishReason::kLength;
  }
  return event;
}

std::optional<RequestReport> Engine::report(RequestId id) const {
  const auto at = sequences_.find(id);
  if (at == sequences_.end() || at->second->state == SequenceState::kEnded) return std::nullopt;
  RequestReport report = at->second->report;
  report.answer_tokens = static_cast<int64_t>(at->second->answer.size());
  return report;
}

// A step's time, divided between prompts and answers, to the account.
void Engine::count_energy(const StepPlan& plan, double step_ns) {
  EnergyStep step;
  StepShape answers;
  for (const ScheduledSequence& item : plan.sequences) {
    const bool of_prompt = item.begin < item.sequence->report.prompt_tokens;
    (of_prompt ? step.prompt_tokens : step.answer_tokens) += item.tokens;
    (of_prompt ? item.sequence->uncharged_prompt : item.sequence->uncharged_answer) += item.tokens;
    if (!of_prompt) answers.add(item.tokens, item.begin, item.samples);
  }
  const StepCost cost = cost_.cost();
  double share = static_cast<double>(step.answer_tokens) / static_cast<double>(plan.shape.tokens);
  if (share > 0 && share < 1 && cost.known()) {
    share = std::min(1.0, cost.predict_ns(answers) / std::max(cost.predict_ns(plan.shape), 1.0));
  }
  step.answers_ns = share * step_ns;
  step.prompts_ns = step_ns - step.answers_ns;
  if (energy_.add(step, finished_ns_)) charge_sequences();
}

void Engine::charge(Sequence& sequence) {
  const double joules = energy_.prompt_rate().value_or(0) * static_cast<double>(sequence.uncharged_prompt) +
                        energy_.answer_rate().value_or(0) * static_cast<double>(sequence.uncharged_answer);
  sequence.report.joules = sequence.report.joules.value_or(0) + joules;
  sequence.uncharged_prompt = sequence.uncharged_answer = 0;
}

void Engine::charge_sequences() {
  for (const auto& [id, sequence] : sequences_) charge(*sequence);
}

// What is not charged yet at the last window's rates; of the first requests at those of a window that ends now.
std::optional<double> Engine::joules_of(Sequence& sequence) {
  if (!sequence.report.joules && !energy_.answer_rate() && energy_.close(finished_ns_)) charge_sequences();
  if (sequence.report.joules || energy_.answer_rate() || energy_.prompt_rate()) charge(sequence);
  return sequence.report.joules;
}

void Engine::finish(Sequence& sequence, TokenEvent& event) {
  event.report = sequence.report;
  event.report->answer_tokens = static_cast<int64_t>(sequence.answer.size());
  event.report->finished_ns = event.time_ns;
  event.report->joules = joules_of(sequence);
  totals_.prompt_tokens_cached += event.report->cached_tokens;
  scheduler_.end(&sequence);
}

void Engine::end_without_token(Sequence& sequence, FinishReason reason, std::vector<TokenEvent>& events) {
  events.push_back(
      {.request = sequence.request.id, .token = -1, .finish = reason, .logprobs = {}, .time_ns = clock_->now_ns()});
  finish(sequence, events.back());
}

void Engine::destroy_released() {
  released_.clear();
  scheduler_.take_released(released_);
  for (Sequence* sequence : released_) {
    count_slots_.release(*sequence);
    sequences_.erase(sequence->request.id);
  }
}

void Engine::count_step(const StepShape& shape) {
  const int64_t tokens = shape.tokens;
  const auto bucket = static_cast<size_t>(std::bit_width(static_cast<uint64_t>(tokens - 1)));
  ++totals_.steps;
  totals_.step_tokens += tokens;
  ++totals_.steps_by_tokens[std::min(bucket, EngineStats::kStepBuckets - 1)];
}

EngineStats Engine::stats() const {
  EngineStats stats = totals_;
  stats.host_ns -= stats.sampler_ns;
  stats.energy = energy_.totals();
  const SchedulerStats scheduler = scheduler_.stats();
  stats.waiting = scheduler.waiting;
  stats.running = scheduler.running;
  stats.preemptions = scheduler.preemptions;
  stats.prefix_cache_queries = scheduler.prefix_queries;
  stats.prefix_cache_hits = scheduler.prefix_hits;
  const BlockPool& pool = kv_.pool(0);
  stats.kv_blocks = pool.total();
  stats.kv_blocks_free = pool.available();
  stats.kv_blocks_cached = pool.cached();
  if (const int64_t slots = pool.referenced() * options_.block_tokens; slots > 0) {
    stats.kv_waste_ratio = static_cast<double>(scheduler.unfilled_slots) / static_cast<double>(slots);
  }
  return stats;
}

}  // namespace tern
