// What becomes of one HTTP request, for the metrics and for its line in the log. Holds no text of prompt or answer.
//
// Made by the connection when the header has been read, filled on the way, reported when it goes out of scope: whatever
// ends the request, it is counted and logged once. I/O thread only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/service.h"
#include "server/server_counts.h"

namespace tern {

class RequestRecord {
 public:
  explicit RequestRecord(ServerCounts& counts);
  ~RequestRecord();
  RequestRecord(const RequestRecord&) = delete;
  RequestRecord& operator=(const RequestRecord&) = delete;

  // An answer is asked of the engine: `choices` submissions with the longest answer that each may have.
  void on_submit(size_t choices, int64_t max_tokens);
  void on_event(size_t choice, const TextEvent& event);
  // Nothing more comes: choices that have not ended were given up.
  void on_answer_end();

  std::string id, user;
  std::string_view method;
  std::string_view route;  // of the table of routes; empty: no such route
  std::string_view key;    // name of the API key
  std::string error;       // code of an error
  int status = 0;          // 0: the client left before there was one
  bool stream = false;
  bool quiet = false;  // a probe: logged only when it fails, or for debugging

 private:
  struct Choice {
    int64_t last_token_ns = 0;
    bool ended = false;
  };
  void on_report(const RequestReport& report);
  void write_line() const;

  ServerCounts& counts_;
  std::vector<Choice> choices_;
  int64_t arrived_ns_, submitted_ns_ = 0, first_token_ns_ = 0;
  int64_t queue_ns_ = 0, prefill_ns_ = 0, decode_ns_ = 0;  // the longest of the choices
  int64_t prompt_tokens_ = 0, cached_tokens_ = 0, answer_tokens_ = 0, most_answer_tokens_ = 0;  // of all choices
  int64_t preemptions_ = 0;
  FinishReason finish_ = FinishReason::kNone;
};

// "stop", "length", "abort", ...: how metrics and log name it, as vLLM does.
std::string_view finish_label(FinishReason reason);

}  // namespace tern
