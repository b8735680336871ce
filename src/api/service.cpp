#include "api/service.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <new>
#include <utility>

namespace tern {
namespace {

// A sink that throws loses its answer; nobody else does.
bool give(const std::function<void(TextEvent&&)>& sink, TextEvent&& event) {
  try {
    sink(std::move(event));
    return true;
  } catch (...) {
    return false;
  }
}

// For each submission the first that begins as it does, itself at least.
std::vector<size_t> first_equals(const std::vector<Submission>& submissions) {
  std::vector<size_t> first(submissions.size());
  for (size_t i = 0; i < submissions.size(); ++i) {
    const auto same = [&](const Submission& other) {
      const SchedulingParams &a = other.params.scheduling, &b = submissions[i].params.scheduling;
      return other.prompt == submissions[i].prompt && a.cache_salt == b.cache_salt && a.tenant == b.tenant;
    };
    first[i] = static_cast<size_t>(std::find_if(submissions.begin(), submissions.end(), same) - submissions.begin());
  }
  return first;
}

}  // namespace

Service::Service(Engine& engine, std::shared_ptr<const Tokenizer> tokenizer, size_t queue_limit)
    : queue_limit_(queue_limit),
      stats_(engine.stats()),
      engine_(engine),
      session_(engine, std::move(tokenizer)),
      engine_thread_([this] { engine_main(); }) {}

Service::~Service() { stop(); }

// What the engine would refuse, in the caller's thread.
void Service::check(Submission& submission) const {
  validate(submission.params);
  engine_.check(submission.prompt, submission.params.max_tokens);
}

Admission Service::submit(std::vector<Submission> submissions) {
  for (Submission& submission : submissions) check(submission);
  const std::vector<size_t> siblings = first_equals(submissions);
  Admission admission;
  {
    const std::lock_guard lock(mutex_);
    if (draining_ || stopping_ || failure_) return {Admission::Refusal::kStopping, {}};
    if (inbox_.size() + backlog_ + submissions.size() > queue_limit_) return {Admission::Refusal::kQueueFull, {}};
    admission.tickets.reserve(submissions.size());
    inbox_.reserve(inbox_.size() + submissions.size());
    for (size_t i = 0; i < submissions.size(); ++i) {
      admission.tickets.push_back(next_ticket_++);
      const Ticket sibling = siblings[i] == i ? 0 : admission.tickets[siblings[i]];
      inbox_.push_back({admission.tickets.back(), sibling, std::move(submissions[i])});
    }
  }
  wake_.notify_one();
  return admission;
}

void Service::cancel(Ticket ticket) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || failure_) return;  // everything ends anyway
    cancels_.push_back(ticket);
  }
  wake_.notify_one();
}

bool Service::queue_full() const {
  const std::lock_guard lock(mutex_);
  return inbox_.size() + backlog_ >= queue_limit_;
}

EngineStats Service::stats() const {
  const std::lock_guard lock(mutex_);
  EngineStats stats = stats_;
  stats.waiting = static_cast<int64_t>(inbox_.size() + backlog_);
  return stats;
}

void Service::drain() {
  const std::lock_guard lock(mutex_);
  draining_ = true;
}

bool Service::wait_idle(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  return idle_.wait_for(lock, timeout, [this] { return sleeping_ && inbox_.empty() && cancels_.empty(); });
}

void Service::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  std::call_once(joined_, [this] { engine_thread_.join(); });
}

void Service::on_failure(std::function<void(const Error&)> handler) {
  std::unique_lock lock(mutex_);
  if (!failure_) {
    failure_handler_ = std::move(handler);
    return;
  }
  const Error error = *failure_;
  lock.unlock();
  handler(error);
}

// From here on: the engine thread.

void Service::engine_main() {
  try {
    while (take_work()) {
      start_taken();
      cancel_taken();
      step();
    }
    end_everything(FinishReason::kCancelled, std::nullopt);
    publish();
  } catch (const Error& error) {
    fail(error);
  } catch (const std::bad_alloc&) {
    fail(Error(ErrorCode::kResource, "[engine] the host's memory is exhausted"));
  } catch (const std::exception& error) {
    fail(Error(ErrorCode::kFailed, std::string("[engine] ") + error.what()));
  }
  const std::lock_guard lock(mutex_);
  sleeping_ = true;
  idle_.notify_all();
}

// Sleeps until there is something to do; false when the service stops.
bool Service::take_work() {
  std::unique_lock lock(mutex_);
  const auto work = [this] { return stopping_ || more_ || !inbox_.empty() || !cancels_.empty(); };
  if (!work()) {
    sleeping_ = true;
    idle_.notify_all();
    wake_.wait(lock, work);
    sleeping_ = false;
  }
  if (stopping_) return false;
  std::swap(taken_, inbox_);
  std::swap(cancelled_, cancels_);
  backlog_ += taken_.size();
  return true;
}

void Service::start_taken() {
  for (auto& [ticket, sibling, submission] : taken_) {
    try {
      const auto leader = running_.find(sibling);
      const RequestId id = session_.submit(std::move(submission.prompt), submission.params,
                                           leader == running_.end() ? 0 : leader->second);
      running_.emplace(ticket, id);
      Stream& stream = streams_[id];
      stream.ticket = ticket;
      stream.sink = std::move(submission.sink);
      submission.sink = nullptr;
    } catch (const Error& error) {  // this request's fault alone
      give(submission.sink, {.request = ticket, .finish = FinishReason::kError, .error = error});
      submission.sink = nullptr;
    }
  }
  taken_.clear();
}

void Service::cancel_taken() {
  for (const Ticket ticket : cancelled_) {
    if (const auto at = running_.find(ticket); at != running_.end()) session_.cancel(at->second);
  }
  cancelled_.clear();
}

void Service::step() {
  events_.clear();
  more_ = session_.step(events_);
  publish();
  for (TextEvent& event : events_) deliver(std::move(event));
}

void Service::publish() {
  const std::lock_guard lock(mutex_);
  stats_ = engine_.stats();
  backlog_ = static_cast<size_t>(stats_.waiting);
}

void Service::deliver(TextEvent&& event) {
  const auto at = streams_.find(event.request);
  if (at == streams_.end()) return;
  const RequestId id = event.request;
  const bool last = event.finish != FinishReason::kNone;
  event.request = at->second.ticket;
  if (!give(at->second.sink, std::move(event)) && !last) session_.cancel(id);
  if (last) {
    running_.erase(at->second.ticket);
    streams_.erase(at);
  }
}

// Ends every stream and everything queued with an event of its own.
void Service::end_everything(FinishReason reason, const std::optional<Error>& error) {
  std::vector<Queued> waiting;  // swapped, not copied: memory may be what has run out
  {
    const std::lock_guard lock(mutex_);
    waiting.swap(inbox_);
    cancels_.clear();
    backlog_ = 0;
  }
  for (std::vector<Queued>* queue : {&taken_, &waiting}) {
    for (auto& [ticket, sibling, submission] : *queue) {
      if (submission.sink) give(submission.sink, {.request = ticket, .finish = reason, .error = error});
    }
    queue->clear();
  }
  if (!error) {
    for (const auto& [id, stream] : streams_) session_.cancel(id);
    events_.clear();
    session_.step(events_);  // only drops what is cancelled
  }
  while (!streams_.empty()) deliver({.request = streams_.begin()->first, .finish = reason, .error = error});
}

void Service::fail(const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    failure_ = error;  // from here on nothing new comes in
  }
  end_everything(FinishReason::kError, error);
  std::function<void(const Error&)> handler;
  {
    const std::lock_guard lock(mutex_);
    handler = std::exchange(failure_handler_, nullptr);
  }
  if (handler) handler(error);
}

}  // namespace tern
