// include/tern/tern.h over Model and Service: values are translated, events cross from the engine's thread to the
// reader's by a queue a stream.
#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "api/service.h"
#include "tern/tern.h"

namespace tern::embed {
namespace {

Error translated(const tern::Error& error) { return {static_cast<Error::Code>(error.code()), error.what()}; }

// What `work` returns; an error of the engine's leaves as one of this interface.
template <typename Work>
auto translating(Work work) {
  try {
    return work();
  } catch (const tern::Error& error) {
    throw translated(error);
  } catch (const std::bad_alloc&) {
    throw Error(Error::Code::kResource, "[engine] the host's memory is exhausted");
  }
}

Event event_of(TextEvent&& event) {
  static_assert(static_cast<int>(Finish::kError) == static_cast<int>(FinishReason::kError));
  Event out{.text = std::move(event.text), .token = event.token, .finish = static_cast<Finish>(event.finish)};
  if (event.error) {
    out.error = event.error->what();
  } else if (out.finish == Finish::kError) {
    out.error = "[engine] the model's numbers were not finite";
  }
  if (event.report) {
    out.prompt_tokens = event.report->prompt_tokens;
    out.cached_tokens = event.report->cached_tokens;
    out.answer_tokens = event.report->answer_tokens;
  }
  return out;
}

std::vector<int32_t> prompt_of(const Model& model, const Request& request) {
  if (!request.messages.empty()) {
    std::vector<jinja::Value> messages;
    for (const Message& message : request.messages) messages.push_back(chat_message(message.role, message.content));
    ChatInputs inputs;
    inputs.messages = jinja::Value::list(std::move(messages));
    return chat_prompt(model, inputs);
  }
  return request.text.empty() ? request.tokens : text_prompt(model, request.text);
}

GenerationParams params_of(const Request& request) {
  GenerationParams params;
  params.sampling = {.temperature = request.temperature,
                     .top_k = request.top_k,
                     .top_p = request.top_p,
                     .min_p = request.min_p,
                     .repetition_penalty = request.repetition_penalty,
                     .presence_penalty = request.presence_penalty,
                     .frequency_penalty = request.frequency_penalty,
                     .seed = request.seed,
                     .logit_bias = {}};
  params.max_tokens = request.max_tokens;
  params.stop = request.stop;
  params.ignore_eos = request.ignore_eos;
  params.scheduling = {
      .priority = request.priority, .tenant = request.tenant, .deadline_ns = 0, .cache_salt = request.cache_salt};
  if (request.timeout.count() > 0) {
    params.scheduling.deadline_ns =
        SteadyClock().now_ns() + std::chrono::duration_cast<std::chrono::nanoseconds>(request.timeout).count();
  }
  return params;
}

}  // namespace

// Shared by the reader and the sink; whichever goes last destroys it.
struct Stream::State {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Event> events;
  bool ended = false;  // its last event has been read

  std::shared_ptr<Service> service;  // lives until nobody can cancel any more
  Ticket ticket = 0;

  void post(TextEvent&& event) {
    const std::lock_guard lock(mutex);
    events.push_back(event_of(std::move(event)));
    changed.notify_one();
  }
};

Stream::Stream(std::shared_ptr<State> state) : state_(std::move(state)) {}
Stream::Stream(Stream&&) noexcept = default;

Stream& Stream::operator=(Stream&& other) noexcept {
  if (this != &other) {
    cancel();
    state_ = std::move(other.state_);
  }
  return *this;
}

Stream::~Stream() { cancel(); }

std::optional<Event> Stream::next() {
  if (state_ == nullptr || state_->ended) return std::nullopt;
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [this] { return !state_->events.empty(); });
  Event event = std::move(state_->events.front());
  state_->events.pop_front();
  state_->ended = event.finish != Finish::kNone;
  return event;
}

std::string Stream::rest(Event* last) {
  std::string text;
  while (std::optional<Event> event = next()) {
    text += event->text;
    if (last != nullptr && event->finish != Finish::kNone) *last = std::move(*event);
  }
  return text;
}

void Stream::cancel() {
  if (state_ != nullptr && !state_->ended) state_->service->cancel(state_->ticket);
}

struct Engine::Impl {
  std::unique_ptr<Model> model;
  std::shared_ptr<Service> service;  // shared with streams, stopped here: after that it only ignores
  ~Impl() {
    if (service) service->stop();
  }
};

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;

Engine Engine::load(const std::string& path, const Options& options) {
  return translating([&] {
    auto impl = std::make_unique<Impl>();
    LoadOptions load;
    load.threads = options.threads;
    load.max_model_len = options.max_model_len;
    load.max_sequences = options.max_sequences;
    load.max_batched_tokens = options.max_batched_tokens;
    load.max_step_ms = options.max_step_ms;
    load.kv_cache_bytes = options.kv_cache_bytes;
    load.prefix_caching = options.prefix_caching;
    load.pack_cache.folder = options.pack_cache_folder;
    impl->model = Model::load(path, load);
    impl->service = std::make_shared<Service>(*impl->model, options.max_queued);
    return Engine(std::move(impl));
  });
}

Stream Engine::submit(const Request& request) { return std::move(submit(request, {request.seed}).front()); }

std::vector<Stream> Engine::submit(const Request& request, const std::vector<uint64_t>& seeds) {
  return translating([&] {
    const std::vector<int32_t> prompt = prompt_of(*impl_->model, request);
    std::vector<std::shared_ptr<Stream::State>> states;
    std::vector<Submission> submissions;
    for (const uint64_t seed : seeds) {
      auto state = std::make_shared<Stream::State>();
      state->service = impl_->service;
      GenerationParams params = params_of(request);
      params.sampling.seed = seed;
      submissions.push_back({prompt, params, [state](TextEvent&& event) { state->post(std::move(event)); }});
      states.push_back(std::move(state));
    }
    const Admission admission = impl_->service->submit(std::move(submissions));
    if (admission.refusal == Admission::Refusal::kQueueFull)
      throw Error(Error::Code::kBusy, "[engine] the queue is full");
    if (admission.refusal == Admission::Refusal::kStopping)
      throw Error(Error::Code::kStopping, "[engine] it is stopping");
    std::vector<Stream> streams;
    for (size_t i = 0; i < states.size(); ++i) {
      states[i]->ticket = admission.tickets[i];
      streams.push_back(Stream(std::move(states[i])));
    }
    return streams;
  });
}

Stats Engine::stats() const {
  const EngineStats stats = impl_->service->stats();
  return {.waiting = stats.waiting,
          .running = stats.running,
          .steps = stats.steps,
          .prompt_tokens = stats.prompt_tokens,
          .answer_tokens = stats.answer_tokens,
          .cached_tokens = stats.prompt_tokens_cached,
          .preemptions = stats.preemptions,
          .kv_blocks = stats.kv_blocks,
          .kv_blocks_free = stats.kv_blocks_free};
}

}  // namespace tern::embed
