// The thread-safe front of a Session: requests come in from any thread, one engine thread answers them.
//
// Owned by main or the program that embeds tern, as is the Model, which nobody else may drive from now on: the engine
// thread is worker 0 of the runner's pool. Sinks are called on the engine thread, in the order of events and without a
// lock; they must not block, so they hand over. Invariants: every admitted submission gets exactly one event whose
// finish is not kNone, as its last one, whatever happens (answered, cancelled, failed, stopped), and its sink is
// destroyed after it; at most `queue_limit` submissions wait for the engine; an idle service sleeps.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "api/session.h"
#include "core/error.h"
#include "core/limits.h"

namespace tern {

// A request's name at the service; TextEvent::request carries it.
using Ticket = uint64_t;

struct Submission {
  std::vector<int32_t> prompt;
  GenerationParams params;
  std::function<void(TextEvent&&)> sink;
};

struct Admission {
  enum class Refusal : uint8_t { kNone, kQueueFull, kStopping };
  Refusal refusal = Refusal::kNone;
  std::vector<Ticket> tickets;  // one a submission, unless refused
};

class Service {
 public:
  explicit Service(Model& model, size_t queue_limit = Limits::kQueuedRequests)
      : Service(model.engine(), model.tokenizer(), queue_limit) {}
  Service(Engine& engine, std::shared_ptr<const Tokenizer> tokenizer, size_t queue_limit);
  ~Service();  // stop()
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // All or none; equal prompts of one call are computed once. Throws a bad-input error, before anything is queued, when
  // a prompt or a parameter cannot be.
  Admission submit(std::vector<Submission> submissions);
  // The stream ends with kCancelled at the next step; tickets that have ended are ignored.
  void cancel(Ticket ticket);

  // Prompt and answer together: what the model and the whole KV pool hold.
  int64_t context_tokens() const { return engine_.options().max_model_len; }
  bool queue_full() const;
  EngineStats stats() const;  // as of the last step; `waiting` counts what the engine has not seen yet too

  // From now on submit() refuses; what was admitted goes on.
  void drain();
  // True once nothing is queued or running.
  bool wait_idle(std::chrono::milliseconds timeout);
  // Cancels what is left and joins the engine thread.
  void stop();

  // `handler` is called once, on the engine thread (at once if it has happened), when the engine cannot go on: every
  // stream has had its error event, submit() refuses, and the process should end with the error's code.
  void on_failure(std::function<void(const Error&)> handler);

 private:
  struct Queued {
    Ticket ticket;
    Ticket sibling;  // an earlier one of the same call with the same prompt; 0: none
    Submission submission;
  };
  struct Stream {
    Ticket ticket;
    std::function<void(TextEvent&&)> sink;
  };

  void check(Submission& submission) const;
  void engine_main();
  bool take_work();
  void cancel_taken();
  void start_taken();
  void step();
  void deliver(TextEvent&& event);
  void end_everything(FinishReason reason, const std::optional<Error>& error);
  void publish();
  void fail(const Error& error);

  const size_t queue_limit_;

  mutable std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::vector<Queued> inbox_;
  std::vector<Ticket> cancels_;
  size_t backlog_ = 0;  // taken out of the inbox, not running yet
  Ticket next_ticket_ = 1;
  bool draining_ = false, stopping_ = false, sleeping_ = false;
  EngineStats stats_;
  std::optional<Error> failure_;
  std::function<void(const Error&)> failure_handler_;

  // The engine thread's own.
  Engine& engine_;
  Session session_;
  std::vector<Queued> taken_;
  std::vector<Ticket> cancelled_;
  std::vector<TextEvent> events_;
  std::unordered_map<RequestId, Stream> streams_;
  std::unordered_map<Ticket, RequestId> running_;
  bool more_ = false;  // the engine has something to do

  std::once_flag joined_;
  std::thread engine_thread_;  // last: it starts when all else is there
};

}  // namespace tern
