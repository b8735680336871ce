#include "engine/engine.h"

#include <algorithm>

#include "core/error.h"

namespace tern {

Engine::Engine(std::unique_ptr<Runner> runner, const EngineOptions& options, std::shared_ptr<const Clock> clock)
    : runner_(std::move(runner)),
      options_(options),
      clock_(std::move(clock)),
      pool_(runner_->kv_blocks()),
      scheduler_(
          make_fcfs_scheduler({options.max_batched_tokens, options.max_sequences, options.block_tokens}, pool_)) {
  // A sequence may be as long as the whole pool, and no longer.
  options_.max_model_len =
      std::min(options_.max_model_len, static_cast<int64_t>(pool_.total()) * options_.block_tokens);
  batch_.reserve(options.max_batched_tokens, options.max_sequences);
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

RequestId Engine::submit(Request request) {
  check(request.prompt, request.max_tokens);
  request.id = next_id_++;
  auto sequence = std::make_unique<Sequence>();
  sequence->answer.reserve(static_cast<size_t>(request.max_tokens));
  sequence->report.submitted_ns = clock_->now_ns();
  sequence->report.prompt_tokens = static_cast<int64_t>(request.prompt.size());
  sequence->request = std::move(request);
  const RequestId id = sequence->request.id;
  const auto [at, _] = sequences_.emplace(id, std::move(sequence));
  scheduler_->add(at->second.get());
  return id;
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
  std::vector<RequestId> dropped;
  for (const auto& [id, sequence] : sequences_) {
    if (sequence->cancelled) dropped.push_back(id);
  }
  std::sort(dropped.begin(), dropped.end());
  for (RequestId id : dropped) {
    events.push_back(
        {.request = id, .token = -1, .finish = FinishReason::kCancelled, .logprobs = {}, .time_ns = clock_->now_ns()});
    finish(events.back());
  }
}

bool Engine::step(std::vector<TokenEvent>& events) {
  drop_cancelled(events);
  scheduler_->schedule(plan_);
  if (plan_.empty()) return !sequences_.empty();
  batch_.fill(plan_);
  const int64_t begin_ns = clock_->now_ns();
  for (const ScheduledSequence& scheduled : plan_.sequences) {
    RequestReport& report = scheduled.sequence->report;
    if (report.started_ns == 0) report.started_ns = begin_ns;
  }
  const std::span<const float> logits = runner_->execute(batch_);
  scheduler_->commit(plan_);
  ++totals_.steps;
  for (const ScheduledSequence& scheduled : plan_.sequences) {
    if (scheduled.sequence->answer.empty()) totals_.prompt_tokens += scheduled.tokens;
  }
  const auto vocabulary = static_cast<size_t>(options_.vocabulary);
  for (size_t row = 0; row < batch_.wanted_sequence.size(); ++row) {
    Sequence& sequence = *batch_.wanted_sequence[row];
    events.push_back(sample(sequence, logits.subspan(row * vocabulary, vocabulary)));
    if (events.back().finish != FinishReason::kNone) finish(events.back());
  }
  return !sequences_.empty();
}

TokenEvent Engine::sample(Sequence& sequence, std::span<const float> logits) {
  const Request& request = sequence.request;
  TokenEvent event{.request = request.id};
  event.token = sampler_.sample(logits, request.sampling, request.prompt, sequence.answer);
  event.time_ns = clock_->now_ns();
  if (event.token < 0) {  // NaN or no finite logit: this request fails, its neighbours do not
    event.finish = FinishReason::kError;
    return event;
  }
  if (request.logprobs >= 0) event.logprobs = log_probabilities(logits, event.token, request.logprobs);
  sequence.answer.push_back(event.token);
  if (sequence.report.first_token_ns == 0) sequence.report.first_token_ns = event.time_ns;
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
  if (at == sequences_.end()) return std::nullopt;
  RequestReport report = at->second->report;
  report.answer_tokens = static_cast<int64_t>(at->second->answer.size());
  return report;
}

void Engine::finish(TokenEvent& event) {
  event.report = report(event.request);
  event.report->finished_ns = event.time_ns;
  const auto at = sequences_.find(event.request);
  scheduler_->remove(at->second.get());
  sequences_.erase(at);
}

EngineStats Engine::stats() const {
  EngineStats stats = totals_;
  stats.waiting = scheduler_->waiting();
  stats.running = scheduler_->running();
  stats.kv_blocks = pool_.total();
  stats.kv_blocks_free = pool_.available();
  return stats;
}

}  // namespace tern
