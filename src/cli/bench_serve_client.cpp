#include "cli/bench_serve_client.h"

#include <fmt/core.h>

#include "cli/sse_reader.h"
#include "core/clock.h"
#include "core/error.h"

namespace tern {
namespace {

using nlohmann::json;

constexpr size_t kErrorBytes = 4096;  // of a refusal's body that are kept

// A string at choice[key], or nothing.
const std::string* text_at(const json& choice, const char* key) {
  const auto found = choice.find(key);
  return found == choice.end() ? nullptr : found->get_ptr<const std::string*>();
}

void read_count(const json& object, const char* key, int64_t& to) {
  const auto found = object.find(key);
  if (found != object.end() && found->is_number_integer()) to = found->get<int64_t>();
}

void read_usage(const json& event, RequestRecord& record) {
  const auto usage = event.find("usage");
  if (usage == event.end() || !usage->is_object()) return;
  read_count(*usage, "prompt_tokens", record.prompt_tokens);
  read_count(*usage, "completion_tokens", record.output_tokens);
  const auto details = usage->find("prompt_tokens_details");
  if (details != usage->end() && details->is_object()) read_count(*details, "cached_tokens", record.cached_tokens);
}

std::string message_of(const json& error) {
  if (error.is_string()) return error.get<std::string>();
  const auto message = error.is_object() ? error.find("message") : error.end();
  return error.is_object() && message != error.end() && message->is_string() ? message->get<std::string>()
                                                                             : error.dump();
}

}  // namespace

HttpCall RequestStyle::call(json input, int64_t output_tokens) const {
  json body = {{"model", model}, {"max_tokens", output_tokens}, {"stream", true}};
  body["stream_options"]["include_usage"] = true;
  body[chat() ? "messages" : "prompt"] = std::move(input);
  if (ignore_eos) body["ignore_eos"] = true;
  if (temperature) body["temperature"] = *temperature;
  body.update(extra_body);
  HttpCall out{.method = "POST", .path = endpoint, .body = body.dump(-1, ' ', false, json::error_handler_t::replace)};
  if (!api_key.empty()) out.headers.emplace_back("Authorization", "Bearer " + api_key);
  return out;
}

void AnswerReader::on_event(std::string_view data, int64_t now_ns) {
  if (data == "[DONE]") {
    done_ = true;
    return;
  }
  const json event = json::parse(data, nullptr, false);
  if (!event.is_object()) {
    record_.error = "an event is no JSON object: " + printable(data);
    return;
  }
  if (const auto error = event.find("error"); error != event.end() && !error->is_null()) {
    record_.error = printable(message_of(*error), 200);
    return;
  }
  read_usage(event, record_);
  const auto choices = event.find("choices");
  if (choices == event.end() || !choices->is_array() || choices->empty() || !(*choices)[0].is_object()) return;
  const json& choice = (*choices)[0];
  if (const auto reason = choice.find("finish_reason"); reason != choice.end() && !reason->is_null()) finished_ = true;
  if (const std::string* text = text_at(choice, "text")) on_text(*text, now_ns);
  const auto delta = choice.find("delta");
  if (delta == choice.end() || !delta->is_object()) return;
  for (const char* key : {"reasoning_content", "reasoning", "content"}) {
    const std::string* text = text_at(*delta, key);
    if (text == nullptr || text->empty()) continue;
    on_text(*text, now_ns);
    break;  // a server that sends one thought under two names sends one token
  }
}

void AnswerReader::on_text(const std::string& text, int64_t now_ns) {
  if (text.empty()) return;
  record_.text += text;
  if (++events_ == 1) {
    record_.first_ns = now_ns;
  } else {
    record_.gaps_s.push_back(static_cast<float>(static_cast<double>(now_ns - record_.last_ns) / 1e9));
  }
  record_.last_ns = now_ns;
}

void AnswerReader::finish(int64_t now_ns) {
  if (events_ == 0) record_.first_ns = record_.last_ns = now_ns;
  if (record_.output_tokens == 0) record_.output_tokens = events_;
  if (record_.error.empty() && !done_ && !finished_) record_.error = "the stream ended before the answer";
}

boost::asio::awaitable<void> send_request(HttpClient& client, HttpCall call, RequestRecord& record) {
  AnswerReader answer(record);
  SseReader events([&answer](std::string_view data) { answer.on_event(data, SteadyClock().now_ns()); });
  std::string refusal;
  const HttpClient::Body on_body = [&](int status, std::string_view bytes) {
    if (status == 200) {
      events.feed(bytes);
    } else if (refusal.size() < kErrorBytes) {
      refusal.append(bytes.substr(0, kErrorBytes - refusal.size()));
    }
  };
  record.start_ns = SteadyClock().now_ns();
  const HttpOutcome outcome = co_await client.exchange(call, on_body);
  answer.finish(SteadyClock().now_ns());
  if (outcome.status != 200 && outcome.status != 0) {
    record.error = error_message(outcome.status, refusal);
  } else if (!outcome.error.empty()) {
    record.error = outcome.error;
  }
}

std::string error_message(int status, std::string_view body) {
  const json parsed = json::parse(body, nullptr, false);
  std::string message(body);
  if (parsed.is_object() && parsed.contains("error")) message = message_of(parsed["error"]);
  return fmt::format("HTTP {}: {}", status, printable(message, 200));
}

}  // namespace tern
