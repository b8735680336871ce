#include "api/session.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/limits.h"

namespace tern {
namespace {

void in_range(const char* name, double value, double min, double max) {
  if (!(value >= min && value <= max)) {
    bad_input(fmt::format("[request] {} {} is not in {}..{}", name, value, min, max));
  }
}

}  // namespace

void validate(const GenerationParams& params) {
  const SamplingParams& s = params.sampling;
  in_range("temperature", s.temperature, 0, 100);
  in_range("top_k", s.top_k, 0, static_cast<double>(Limits::kVocabulary));
  in_range("top_p", s.top_p, 0, 1);
  in_range("min_p", s.min_p, 0, 1);
  in_range("repetition_penalty", s.repetition_penalty, 0.01f, 100);
  in_range("presence_penalty", s.presence_penalty, -100, 100);
  in_range("frequency_penalty", s.frequency_penalty, -100, 100);
  in_range("max_tokens", static_cast<double>(params.max_tokens), 0, static_cast<double>(Limits::kContext));
  in_range("logprobs", params.logprobs, -1, static_cast<double>(Limits::kTopLogprobs));
  if (params.stop.size() > Limits::kStopStrings) {
    bad_input(
        fmt::format("[request] {} stop strings, at most {} are allowed", params.stop.size(), Limits::kStopStrings));
  }
  if (params.stop_tokens.size() > Limits::kStopTokens) {
    bad_input(fmt::format("[request] {} stop tokens, at most {} are allowed", params.stop_tokens.size(),
                          Limits::kStopTokens));
  }
  for (const std::string& stop : params.stop) {
    if (stop.empty() || stop.size() > Limits::kStopStringBytes) {
      bad_input(fmt::format("[request] a stop string of {} bytes; 1 to {} are allowed", stop.size(),
                            Limits::kStopStringBytes));
    }
  }
}

RequestId Session::submit(std::vector<int32_t> prompt, const GenerationParams& params, RequestId sibling) {
  validate(params);
  Request request;
  request.prompt = std::move(prompt);
  request.sampling = params.sampling;
  request.max_tokens = params.max_tokens;
  request.logprobs = params.logprobs;
  request.scheduling = params.scheduling;
  if (tokenizer_ != nullptr && !params.ignore_eos) {
    request.end_tokens.assign(tokenizer_->end_tokens().begin(), tokenizer_->end_tokens().end());
  }
  request.end_tokens.insert(request.end_tokens.end(), params.stop_tokens.begin(), params.stop_tokens.end());
  Stream stream{std::nullopt, StopStrings(params.stop)};
  if (tokenizer_ != nullptr) stream.detokenizer.emplace(tokenizer_);
  const RequestId id = engine_.submit(std::move(request), sibling);
  streams_.emplace(id, std::move(stream));
  return id;
}

void Session::cancel(RequestId id) { engine_.cancel(id); }

bool Session::step(std::vector<TextEvent>& events) {
  token_events_.clear();
  const bool more = engine_.step(token_events_);
  for (const TokenEvent& event : token_events_) {
    if (std::optional<TextEvent> translated = translate(event)) events.push_back(std::move(*translated));
  }
  return more;
}

std::optional<TextEvent> Session::translate(const TokenEvent& event) {
  const auto at = streams_.find(event.request);
  if (at == streams_.end()) return std::nullopt;  // ended by a stop string; the engine's own end follows
  Stream& stream = at->second;
  TextEvent out{.request = event.request,
                .token = event.token,
                .finish = event.finish,
                .logprobs = event.logprobs,
                .time_ns = event.time_ns,
                .report = event.report};
  if (stream.detokenizer) {
    std::string text;
    // An end token is no text, whatever its type in the vocabulary.
    if (event.token >= 0 && event.finish != FinishReason::kStop) text = stream.detokenizer->push(event.token);
    if (event.finish != FinishReason::kNone) text += stream.detokenizer->finish();
    out.text = stream.stops.push(text);
    out.held_back = stream.stops.pending_bytes();
    if (stream.stops.found()) {
      if (out.finish == FinishReason::kNone) {
        out.report = engine_.report(event.request);
        if (out.report) out.report->finished_ns = event.time_ns;
        engine_.cancel(event.request);
      }
      out.finish = FinishReason::kStop;
      out.stop_string = true;
    } else if (out.finish != FinishReason::kNone) {
      out.text += stream.stops.finish();
    }
  }
  if (out.finish != FinishReason::kNone) streams_.erase(at);
  return out;
}

std::vector<int32_t> chat_prompt(const Model& model, const ChatInputs& inputs) {
  // The template writes BOS itself where the model wants it.
  return model.tokenizer()->encode_marked(model.chat_template().render(inputs), false);
}

jinja::Value chat_message(std::string role, std::string content) {
  jinja::Dict message;
  message.set(jinja::Value::string("role", false), jinja::Value::string(std::move(role), false));
  message.set(jinja::Value::string("content", false), jinja::Value::string(std::move(content), false));
  return jinja::Value::dict(std::move(message));
}

std::vector<int32_t> text_prompt(const Model& model, std::string_view text) {
  if (model.tokenizer() == nullptr) {
    bad_input(model.facts().checkpoint->metadata.source() +
              ": the model has no tokenizer (a tokenizer.json beside the weights, or in a .gguf file); pass token ids");
  }
  return model.tokenizer()->encode(text);
}

}  // namespace tern
