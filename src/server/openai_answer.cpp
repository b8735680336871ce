#include "server/openai_answer.h"

#include <fmt/core.h>

#include <algorithm>
#include <deque>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "server/json_text.h"
#include "server/sse.h"
#include "text/utf8.h"

namespace tern {
namespace {

using json = nlohmann::ordered_json;

std::string dump(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

// JSON has no infinity; this is what others write.
double finite(float logprob) { return std::max(static_cast<double>(logprob), -9999.0); }

size_t code_points(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

// A key for a token of the completions style: its text, or its bytes when they are no text on their own.
std::string token_key(const std::string& bytes) {
  if (valid_utf8_length(bytes, 0) == bytes.size()) return bytes;
  std::string key = "bytes:";
  for (const char c : bytes) key += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return key;
}

struct Choice {
  std::string text;
  json logprobs;                                // what the answer reports in the end; null without
  size_t given = 0;                             // bytes of text that have come,
  size_t known = 0;                             // and with those that are held back
  std::deque<std::pair<size_t, json>> waiting;  // log-probabilities of tokens whose text is held back, and its place
  size_t text_offset = 0;                       // code points of the tokens so far
  FinishReason finish = FinishReason::kNone;
  bool begun = false;
  std::string before_text, after_text;  // of a chunk that only brings text
};

class OpenAiAnswer final : public AnswerWriter {
 public:
  explicit OpenAiAnswer(AnswerFacts facts) : facts_(std::move(facts)), choices_(facts_.choices) {}

  std::string on_event(size_t index, TextEvent&& event) override {
    Choice& choice = choices_[index];
    if (event.token >= 0) ++completion_tokens_;
    // Choices of one prompt share it, as the count of its tokens does.
    if (event.report && index % facts_.choices_per_prompt == 0) cached_tokens_ += event.report->cached_tokens;
    if (event.report && event.report->joules) joules_ = joules_.value_or(0) + *event.report->joules;
    choice.finish = event.finish;
    json logprobs = released(choice, event);
    if (facts_.stream) return chunks(index, choice, event, std::move(logprobs));
    choice.text += event.text;
    append(choice.logprobs, std::move(logprobs));
    return "";
  }

  std::string finish() override {
    if (!facts_.stream) return dump(whole());
    std::string out;
    if (facts_.include_usage) {
      json chunk = frame();
      chunk["choices"] = json::array();
      chunk["usage"] = usage();
      out = sse_event(dump(chunk));
    }
    return out + sse_done();
  }

 private:
  std::string token_bytes(int32_t id) const {
    return facts_.tokenizer ? facts_.tokenizer->token_bytes(id) : fmt::format("token_id:{}", id);
  }

  // The log-probabilities of all tokens whose text begins within what has come.
  json released(Choice& choice, const TextEvent& event) const {
    json own = logprobs_of(choice, event), out;
    if (!own.is_null()) choice.waiting.emplace_back(choice.known, std::move(own));
    choice.given += event.text.size();
    choice.known = choice.given + event.held_back;
    const bool all = event.finish != FinishReason::kNone && !event.stop_string;
    for (; !choice.waiting.empty() && (all || choice.waiting.front().first < choice.given);
         choice.waiting.pop_front()) {
      append(out, std::move(choice.waiting.front().second));
    }
    return out;
  }

  // Control tokens and tokens that end the answer are no part of the text, so they have no place in the list of its
  // tokens.
  json logprobs_of(Choice& choice, const TextEvent& event) const {
    if (!facts_.logprobs || !event.logprobs || event.token < 0) return {};
    if (facts_.tokenizer && facts_.tokenizer->is_control(event.token)) return {};
    if (event.finish == FinishReason::kStop && !event.stop_string) return {};
    return facts_.chat ? chat_logprobs(event) : completion_logprobs(choice, event);
  }

  json described(int32_t id, float logprob) const {
    const std::string bytes = token_bytes(id);
    json numbers = json::array();
    for (const char c : bytes) numbers.push_back(static_cast<unsigned char>(c));
    return {{"token", replace_invalid_utf8(bytes)}, {"logprob", finite(logprob)}, {"bytes", std::move(numbers)}};
  }

  json chat_logprobs(const TextEvent& event) const {
    json token = described(event.token, event.logprobs->logprob);
    json& top = token["top_logprobs"] = json::array();
    for (const auto& [id, logprob] : event.logprobs->top) top.push_back(described(id, logprob));
    json out;
    out["content"] = json::array({std::move(token)});
    return out;
  }

  json completion_logprobs(Choice& choice, const TextEvent& event) const {
    const std::string bytes = token_bytes(event.token);
    json top = json::object();
    for (const auto& [id, logprob] : event.logprobs->top) top.emplace(token_key(token_bytes(id)), finite(logprob));
    json out;
    out["tokens"] = json::array({token_key(bytes)});
    out["token_logprobs"] = json::array({finite(event.logprobs->logprob)});
    out["top_logprobs"] = json::array({std::move(top)});
    out["text_offset"] = json::array({choice.text_offset});
    choice.text_offset += code_points(bytes);
    return out;
  }

  // Lists of tokens, joined.
  static void append(json& all, json more) {
    if (more.is_null()) return;
    if (all.is_null()) {
      all = std::move(more);
      return;
    }
    for (auto& [key, list] : more.items()) {
      for (json& one : list) all[key].push_back(std::move(one));
    }
  }

  std::string chunks(size_t index, Choice& choice, const TextEvent& event, json logprobs) {
    std::string out;
    const bool last = event.finish != FinishReason::kNone;
    const bool says = !event.text.empty() || !logprobs.is_null();
    const bool plain = says && logprobs.is_null() && !facts_.continuous_usage;
    if (!facts_.chat) {
      if (!says && !last) return out;
      if (plain && !last) return text_chunk(index, choice, event.text);
      return text_delta(index, event.text, std::move(logprobs), reason(choice));
    }
    if (!choice.begun) out += delta(index, {{"role", "assistant"}, {"content", ""}}, nullptr, nullptr);
    choice.begun = true;
    if (plain) {
      out += text_chunk(index, choice, event.text);
    } else if (says) {
      out += delta(index, {{"content", event.text}}, std::move(logprobs), nullptr);
    }
    if (last) out += delta(index, json::object(), nullptr, reason(choice));
    return out;
  }

  std::string delta(size_t index, json content, json logprobs, json finish) const {
    return chunk({{"index", index},
                  {"delta", std::move(content)},
                  {"logprobs", std::move(logprobs)},
                  {"finish_reason", std::move(finish)}});
  }

  std::string text_delta(size_t index, std::string_view text, json logprobs, json finish) const {
    return chunk(
        {{"index", index}, {"text", text}, {"logprobs", std::move(logprobs)}, {"finish_reason", std::move(finish)}});
  }

  // What nearly every token is: text and nothing else. The chunk around it is made as a document once for each choice;
  // from then on the text goes between its two parts, which is a tenth of the work.
  std::string text_chunk(size_t index, Choice& choice, std::string_view text) const {
    if (choice.before_text.empty()) {
      constexpr std::string_view kPlace = "\x01", kWritten = R"("\u0001")";
      std::string whole = facts_.chat ? delta(index, {{"content", kPlace}}, nullptr, nullptr)
                                      : text_delta(index, kPlace, nullptr, nullptr);
      const size_t at = whole.rfind(kWritten);  // the last: before it are names that somebody chose
      choice.after_text = whole.substr(at + kWritten.size());
      choice.before_text = std::move(whole.erase(at));
    }
    std::string out;
    out.reserve(choice.before_text.size() + text.size() + 16 + choice.after_text.size());
    out += choice.before_text;
    append_json_string(out, text);
    return out += choice.after_text;
  }

  std::string chunk(json choice) const {
    json out = frame();
    out["choices"] = json::array({std::move(choice)});
    if (facts_.continuous_usage) {
      out["usage"] = usage();
    } else if (facts_.include_usage) {
      out["usage"] = nullptr;
    }
    return sse_event(dump(out));
  }

  json whole() {
    json out = frame();
    json& list = out["choices"] = json::array();
    for (size_t index = 0; index < choices_.size(); ++index) {
      Choice& choice = choices_[index];
      json entry = {{"index", index}};
      if (facts_.chat) {
        entry["message"] = {{"role", "assistant"}, {"content", std::move(choice.text)}};
      } else {
        entry["text"] = std::move(choice.text);
      }
      entry["logprobs"] = std::move(choice.logprobs);
      entry["finish_reason"] = reason(choice);
      list.push_back(std::move(entry));
    }
    out["usage"] = usage();
    return out;
  }

  json frame() const {
    const char* object =
        facts_.chat ? (facts_.stream ? "chat.completion.chunk" : "chat.completion") : "text_completion";
    return {{"id", facts_.id}, {"object", object}, {"created", facts_.created}, {"model", facts_.model}};
  }

  json usage() const {
    return {{"prompt_tokens", facts_.prompt_tokens},
            {"completion_tokens", completion_tokens_},
            {"total_tokens", facts_.prompt_tokens + completion_tokens_},
            {"prompt_tokens_details", {{"cached_tokens", cached_tokens_}}},
            {"completion_tokens_details", {{"reasoning_tokens", 0}}},
            {"energy_joules", joules_ ? json(*joules_) : json()}};
  }

  static json reason(const Choice& choice) {
    return choice.finish == FinishReason::kNone ? json() : json(name_of(choice.finish));
  }

  AnswerFacts facts_;
  std::vector<Choice> choices_;
  int64_t completion_tokens_ = 0, cached_tokens_ = 0;
  std::optional<double> joules_;
};

}  // namespace

std::unique_ptr<AnswerWriter> make_openai_answer(AnswerFacts facts) {
  return std::make_unique<OpenAiAnswer>(std::move(facts));
}

}  // namespace tern
