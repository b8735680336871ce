// Joins text and engine: a text request goes in, text events come out. One thread drives it (the engine's).
//
// submit() makes the tokens and registers the stream; step() advances the engine and turns its token events into text:
// detokenized without half code points, cut before stop strings. Cancelling frees the sequence at the next step.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/model.h"
#include "api/stop_strings.h"
#include "core/error.h"
#include "text/detokenizer.h"

namespace tern {

struct GenerationParams {
  SamplingParams sampling;
  int64_t max_tokens = 0;  // 0: as many as the context leaves
  std::vector<std::string> stop;
  std::vector<int32_t> stop_tokens;  // end the answer as its end tokens do, also with ignore_eos
  bool ignore_eos = false;
  int32_t logprobs = -1;
  SchedulingParams scheduling;
};

struct TextEvent {
  RequestId request = 0;
  std::string text;    // what this event adds to the answer
  int32_t token = -1;  // the sampled token, end tokens included; -1: none
  FinishReason finish = FinishReason::kNone;
  bool stop_string = false;  // finish is kStop because of a stop string: what was held back is no part of the answer
  size_t held_back = 0;      // bytes of text after this event's that a stop string may begin with
  std::optional<TokenLogprobs> logprobs;
  int64_t time_ns = 0;
  std::optional<RequestReport> report = {};  // on the last event, unless the engine never saw the request
  std::optional<Error> error = {};           // why, when finish is kError and there is a reason to give
};

class Session {
 public:
  explicit Session(Model& model) : Session(model.engine(), model.tokenizer()) {}
  // `tokenizer` null: answers are tokens without text.
  Session(Engine& engine, std::shared_ptr<const Tokenizer> tokenizer)
      : engine_(engine), tokenizer_(std::move(tokenizer)) {}

  // Throws a bad-input error when the prompt does not fit. `sibling`: a request with the same prompt, computed once for
  // both.
  RequestId submit(std::vector<int32_t> prompt, const GenerationParams& params, RequestId sibling = 0);
  void cancel(RequestId id);
  // Appends what happened; false when nothing is left to do.
  bool step(std::vector<TextEvent>& events);

 private:
  struct Stream {
    std::optional<Detokenizer> detokenizer;
    StopStrings stops;
  };
  std::optional<TextEvent> translate(const TokenEvent& event);

  Engine& engine_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::map<RequestId, Stream> streams_;
  std::vector<TokenEvent> token_events_;
};

// The prompt's tokens: chat messages through the template (control tokens only where the template wrote them), or raw
// text.
std::vector<int32_t> chat_prompt(const Model& model, const ChatInputs& inputs);
// One message as a template sees it: {"role", "content"}.
jinja::Value chat_message(std::string role, std::string content);
std::vector<int32_t> text_prompt(const Model& model, std::string_view text);

// Throws a bad-input line naming the parameter and its range.
void validate(const GenerationParams& params);

}  // namespace tern
