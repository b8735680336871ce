// tern inside another program: load a model, submit requests from any thread, read answers as they grow.
//
//   tern::embed::Engine engine = tern::embed::Engine::load("model.gguf");
//   tern::embed::Stream answer = engine.submit({.messages = {{"user", "Why is the sky blue?"}}});
//   while (auto event = answer.next()) std::cout << event->text << std::flush;
//
// This header needs the standard library only. What runs behind it is what `tern serve` runs: continuous batching, one
// paged cache of keys and values that requests share where their prompts begin alike. Everything may be called from any
// thread; one Stream is for one thread at a time. Errors are thrown as Error, but what happens to a request that was
// taken in comes as its last event.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tern::embed {

class Error : public std::runtime_error {
 public:
  enum class Code {
    kFailed = 1,    // for a reason outside its input
    kBadInput = 2,  // a file, option, prompt or parameter is at fault
    kResource = 3,  // a device or memory is missing or exhausted
    kDevice = 4,    // a device failed while it worked
    kBusy = 4,      // the queue is full: try again
    kStopping = 5,  // the engine is being destroyed or has failed
  };
  Error(Code code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Code code() const noexcept { return code_; }

 private:
  Code code_;
};

struct Options {
  int threads = 0;                   // 0: as many as the process may use
  int64_t max_model_len = 0;         // tokens of prompt and answer; 0: the smaller of the model's context and 8192
  int64_t max_sequences = 16;        // computed in one step
  int64_t max_batched_tokens = 512;  // of one step
  int64_t max_step_ms = 100;         // predicted time of a step beyond which no more of a prompt joins; 0: no limit
  uint64_t kv_cache_bytes = 0;       // 0: the smaller of a quarter of the memory and max_sequences full sequences
  bool prefix_caching = true;
  size_t max_queued = 1024;  // requests that wait; submit() throws kBusy beyond
  // Packed weights are kept in this folder, so that the next load need not pack them; empty: nowhere.
  std::string pack_cache_folder = {};
};

struct Message {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

// Give it messages (through the model's chat template), or a text, or tokens: the first of these that is not empty.
struct Request {
  std::vector<Message> messages = {};
  std::string text = {};
  std::vector<int32_t> tokens = {};

  int64_t max_tokens = 0;    // of the answer; 0: as many as the context leaves
  float temperature = 1.0f;  // 0: always the most probable token
  int32_t top_k = 0;         // 0: all
  float top_p = 1.0f;
  float min_p = 0.0f;
  float repetition_penalty = 1.0f, presence_penalty = 0.0f, frequency_penalty = 0.0f;
  uint64_t seed = 0;
  std::vector<std::string> stop = {};
  bool ignore_eos = false;

  int32_t priority = 0;                  // lower runs first
  uint32_t tenant = 0;                   // tenants with work share the engine evenly
  std::chrono::milliseconds timeout{0};  // 0: none
  std::string cache_salt = {};           // prompts share cached beginnings under equal salts only
};

enum class Finish { kNone, kStop, kLength, kCancelled, kTimeout, kError };

struct Event {
  std::string text;               // what this adds to the answer: whole characters, never half of one
  int32_t token = -1;             // -1: none
  Finish finish = Finish::kNone;  // the last event's is not kNone
  std::string error = {};         // why, where finish is kError
  // On the last event.
  int64_t prompt_tokens = 0, cached_tokens = 0, answer_tokens = 0;
};

// One answer. Destroying it cancels what has not ended.
class Stream {
 public:
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  ~Stream();

  // The next event, waited for; nothing after the last.
  std::optional<Event> next();
  // Reads to the end and returns the text of all that had not been read. `last` gets the last event.
  std::string rest(Event* last = nullptr);
  // The answer ends at the next step, with kCancelled unless it has ended by itself.
  void cancel();

 private:
  friend class Engine;
  struct State;
  explicit Stream(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

struct Stats {
  int64_t waiting = 0, running = 0;  // requests
  int64_t steps = 0, prompt_tokens = 0, answer_tokens = 0, cached_tokens = 0, preemptions = 0;
  int32_t kv_blocks = 0, kv_blocks_free = 0;
};

// A loaded model and the thread that answers with it. Streams outlive it: they end with kCancelled.
class Engine {
 public:
  // Reads a GGUF file or a Hugging Face folder. Throws Error.
  static Engine load(const std::string& path, const Options& options = {});
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  ~Engine();

  // Throws kBadInput when the request cannot be answered as it is, kBusy when the queue is full.
  Stream submit(const Request& request);
  // Several answers to one prompt, which is computed once: `seeds` has one each.
  std::vector<Stream> submit(const Request& request, const std::vector<uint64_t>& seeds);
  Stats stats() const;

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tern::embed
