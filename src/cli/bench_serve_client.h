// One streamed request to an OpenAI-compatible server, and what its reader saw and when.
//
// I/O thread only. Times are those of SteadyClock.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/http_client.h"

namespace tern {

// What all requests say alike.
struct RequestStyle {
  std::string endpoint = "/v1/completions", model, api_key;
  bool ignore_eos = false;
  std::optional<double> temperature;
  nlohmann::json extra_body = nlohmann::json::object();  // wins over everything else

  bool chat() const { return endpoint.find("chat") != std::string::npos; }
  // `input`: the prompt, or the list of messages.
  HttpCall call(nlohmann::json input, int64_t output_tokens) const;
};

struct RequestRecord {
  std::string error;                                                // empty: a whole answer arrived
  int64_t prompt_tokens = 0, output_tokens = 0, cached_tokens = 0;  // as the server counts
  int64_t arrival_ns = 0, start_ns = 0, first_ns = 0, last_ns = 0;  // wanted, sent, first and last piece of text
  std::vector<float> gaps_s;                                        // between pieces of text
  std::string text;

  bool success() const { return start_ns != 0 && error.empty(); }
  double ttft_s() const { return static_cast<double>(first_ns - start_ns) / 1e9; }
  double latency_s() const { return static_cast<double>(last_ns - start_ns) / 1e9; }
  double queue_s() const { return static_cast<double>(start_ns - arrival_ns) / 1e9; }
};

// Turns the payloads of a stream's events into a record.
class AnswerReader {
 public:
  explicit AnswerReader(RequestRecord& record) : record_(record) {}

  void on_event(std::string_view data, int64_t now_ns);
  // The stream has ended; `now_ns` counts for an answer without text.
  void finish(int64_t now_ns);

 private:
  void on_text(const std::string& text, int64_t now_ns);

  RequestRecord& record_;
  int64_t events_ = 0;
  bool done_ = false, finished_ = false;
};

// Fills `record` but for arrival_ns. prompt_tokens and output_tokens stay what they are, and the number of pieces,
// where the server reports no usage.
boost::asio::awaitable<void> send_request(HttpClient& client, HttpCall call, RequestRecord& record);

// The message of an OpenAI error body, or its beginning.
std::string error_message(int status, std::string_view body);

}  // namespace tern
