#include "server/request_fields.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "core/limits.h"
#include "server/api_error.h"
#include "server/openai_request.h"
#include "server/request_schema.h"
#include "server/request_values.h"

namespace tern {
namespace {

using nlohmann::json;

constexpr double kContext = Limits::kContext;
constexpr double kVocabulary = Limits::kVocabulary;
constexpr double kTopLogprobs = 20;  // as OpenAI; each costs some 80 bytes a token on the wire

// Below this a temperature divides logits beyond what float holds; the most probable token has won long before.
constexpr double kGreedyBelow = 1e-4;

constexpr uint8_t kAll = kBoth | kTokenize | kDetokenize;

using enum FieldType;
using R = OpenAiRequest;

void ignore(const json&, R&) {}

constexpr std::array kRows{
    RequestField{"model", kString, kAll, 1, 1024, "the served model", "name of the model",
                 [](const json& v, R& r) { r.model = v.get<std::string>(); }, model_schema},
    RequestField{"messages", kList, kChat, 1, Limits::kMessages, kRequired,
                 "the conversation, through the chat template", [](const json&, R& r) { r.has_messages = true; },
                 messages_schema},
    RequestField{"messages", kList, kTokenize, 1, Limits::kMessages, "none",
                 "a conversation, as for /v1/chat/completions; or:", [](const json&, R& r) { r.has_messages = true; },
                 messages_schema},
    RequestField{"prompt", kSeveral, kCompletions, 0, 0, kRequired,
                 "text or token ids; several make several choices. Control tokens in the text count as such",
                 set_prompt, prompt_schema},
    RequestField{"prompt", kString, kTokenize, 0, kContext, "none", "a text, as for /v1/completions", set_prompt},
    RequestField{"tokens", kList, kDetokenize, 0, kContext, kRequired, "token ids", set_tokens, token_ids_schema},
    RequestField{"max_tokens", kInteger, kBoth, 1, kContext, "what the context leaves", "tokens of an answer at most",
                 [](const json& v, R& r) { r.params.max_tokens = v.get<int64_t>(); }},
    RequestField{"max_completion_tokens", kInteger, kChat, 1, kContext, "max_tokens", "the new name of max_tokens",
                 [](const json& v, R& r) { r.params.max_tokens = v.get<int64_t>(); }},
    RequestField{"min_tokens", kInteger, kBoth, 0, 0, "0", "only 0: tern cannot forbid an end yet", ignore},
    RequestField{"temperature", kNumber, kBoth, 0, 100, "1", "0: always the most probable token",
                 [](const json& v, R& r) {
                   r.params.sampling.temperature = v.get<double>() < kGreedyBelow ? 0.0f : v.get<float>();
                 }},
    RequestField{"top_p", kNumber, kBoth, 0, 1, "1", "sample from the most probable tokens that reach this together",
                 [](const json& v, R& r) { r.params.sampling.top_p = v.get<float>(); }},
    RequestField{"top_k", kInteger, kBoth, -1, kVocabulary, "0", "sample from this many tokens; 0 and -1: all",
                 [](const json& v, R& r) { r.params.sampling.top_k = std::max(v.get<int32_t>(), 0); }},
    RequestField{"min_p", kNumber, kBoth, 0, 1, "0", "least probability, as a share of the best token's",
                 [](const json& v, R& r) { r.params.sampling.min_p = v.get<float>(); }},
    RequestField{"presence_penalty", kNumber, kBoth, -2, 2, "0", "off the logit of a token that the answer holds",
                 [](const json& v, R& r) { r.params.sampling.presence_penalty = v.get<float>(); }},
    RequestField{"frequency_penalty", kNumber, kBoth, -2, 2, "0",
                 "off the logit for each time that the answer holds it",
                 [](const json& v, R& r) { r.params.sampling.frequency_penalty = v.get<float>(); }},
    RequestField{"repetition_penalty", kNumber, kBoth, 0.01, 100, "1",
                 "divides the logit of what prompt or answer hold",
                 [](const json& v, R& r) { r.params.sampling.repetition_penalty = v.get<float>(); }},
    RequestField{"seed", kInteger, kBoth, -9223372036854775808.0, 18446744073709551615.0, "random",
                 "same seed, same answer",
                 [](const json& v, R& r) {
                   r.seed = v.is_number_unsigned() ? v.get<uint64_t>() : static_cast<uint64_t>(v.get<int64_t>());
                 }},
    RequestField{"stop", kSeveral, kBoth, 0, 0, "none",
                 "a string of 1 to 1024 characters or a list of up to 16: the answer ends before the first of them",
                 set_stop, stop_schema},
    RequestField{"stop_token_ids", kList, kBoth, 0, Limits::kStopTokens, "none",
                 "token ids that end the answer, as the model's end tokens do; also with ignore_eos",
                 set_stop_token_ids, token_ids_schema},
    RequestField{"ignore_eos", kBoolean, kBoth, 0, 0, "false", "go on after an end token",
                 [](const json& v, R& r) { r.params.ignore_eos = v.get<bool>(); }},
    RequestField{"stream", kBoolean, kBoth, 0, 0, "false", "server-sent events as the answer grows",
                 [](const json& v, R& r) { r.stream = v.get<bool>(); }},
    RequestField{"stream_options", kObject, kBoth, 0, 16, "none",
                 "include_usage: a last event that counts tokens; continuous_usage_stats: every event does",
                 set_stream_options, stream_options_schema},
    RequestField{"n", kInteger, kBoth, 1, 16, "1", "answers to each prompt",
                 [](const json& v, R& r) { r.n = v.get<size_t>(); }},
    RequestField{"logprobs", kBoolean, kChat, 0, 0, "false", "log-probabilities of the answer's tokens",
                 [](const json& v, R& r) {
                   r.logprobs = v.get<bool>();
                   if (r.logprobs) r.params.logprobs = 0;
                 }},
    RequestField{"top_logprobs", kInteger, kChat, 0, kTopLogprobs, "0", "and of this many others; needs logprobs",
                 [](const json& v, R& r) {
                   if (!r.logprobs && v != 0) {
                     refuse("top_logprobs", "'top_logprobs' needs 'logprobs' to be true", "conflicting_fields");
                   }
                   if (r.logprobs) r.params.logprobs = v.get<int32_t>();
                 }},
    RequestField{"logprobs", kInteger, kCompletions, 0, kTopLogprobs, "none",
                 "log-probabilities of this many tokens a place",
                 [](const json& v, R& r) {
                   r.logprobs = true;
                   r.params.logprobs = v.get<int32_t>();
                 }},
    RequestField{"logit_bias", kObject, kBoth, 0, 1024, "none", "token id -> -100..100, added to its logit",
                 set_logit_bias, logit_bias_schema},
    RequestField{"tools", kList, kChat | kTokenize, 0, 1024, "none", "descriptions for the chat template", set_tools,
                 tools_schema},
    RequestField{"tool_choice", kSeveral, kChat, 0, 0, "auto", "\"auto\", or \"none\": the template sees no tools",
                 set_tool_choice, tool_choice_schema},
    RequestField{"chat_template_kwargs", kObject, kChat | kTokenize, 0, 256, "none",
                 "further variables for the chat template", [](const json&, R& r) { r.template_arguments = true; }},
    RequestField{"add_generation_prompt", kBoolean, kChat | kTokenize, 0, 0, "true",
                 "end the prompt with the beginning of the assistant's message",
                 [](const json& v, R& r) { r.add_generation_prompt = v.get<bool>(); }},
    RequestField{"add_special_tokens", kBoolean, kTokenize, 0, 0, "true for a prompt, false for messages",
                 "begin and end as the model's file says",
                 [](const json& v, R& r) { r.add_special_tokens = v.get<bool>(); }},
    RequestField{"return_token_strs", kBoolean, kTokenize, 0, 0, "false", "also the vocabulary's strings",
                 [](const json& v, R& r) { r.return_token_strs = v.get<bool>(); }},
    RequestField{"response_format", kObject, kBoth, 0, 16, "text", "only {\"type\": \"text\"}", set_response_format,
                 response_format_schema},
    RequestField{"priority", kInteger, kBoth, -1000, 1000, "0", "lower runs first",
                 [](const json& v, R& r) { r.params.scheduling.priority = v.get<int32_t>(); }},
    RequestField{"timeout", kNumber, kBoth, 0.001, Limits::kTimeoutS, "none",
                 "seconds until the request ends with 408 deadline_exceeded if it is not done",
                 [](const json& v, R& r) { r.timeout_s = v.get<double>(); }},
    RequestField{"cache_salt", kString, kBoth, 1, 256, "none", "only requests with the same salt share cached prefixes",
                 [](const json& v, R& r) { r.params.scheduling.cache_salt = v.get<std::string>(); }},
    RequestField{"user", kString, kBoth, 0, 1024, "none", "for logs only",
                 [](const json& v, R& r) { r.user = v.get<std::string>(); }},
    RequestField{"metadata", kObject, kBoth, 0, 64, "none", "ignored", ignore},
    RequestField{"echo", kBoolean, kCompletions, 0, 0, "false", "only false",
                 [](const json& v, R&) {
                   if (v.get<bool>()) {
                     refuse("echo", "'echo' is not supported: the answer does not repeat the prompt",
                            "unsupported_value");
                   }
                 },
                 echo_schema},
    RequestField{"best_of", kInteger, kCompletions, 1, 16, "n", "only the value of n",
                 [](const json& v, R& r) {
                   if (v.get<size_t>() != r.n) {
                     refuse("best_of", "'best_of' must be equal to 'n': tern does not rank answers",
                            "conflicting_fields");
                   }
                 }},
    RequestField{"suffix", kString, kCompletions, 0, 0, "none", "only empty", ignore},
};

}  // namespace

std::span<const RequestField> request_fields() { return kRows; }

}  // namespace tern
