// One request from the command line and what came of it, in the form that `run --json` prints.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "api/session.h"

namespace tern {

struct Answer {
  std::vector<int32_t> prompt_ids;
  std::vector<int32_t> ids;  // every sampled token, an end token included
  std::string text;
  FinishReason finish = FinishReason::kNone;
  uint64_t seed = 0;
  std::vector<TokenLogprobs> logprobs;
  bool wants_logprobs = false;
  int64_t submitted_ns = 0, first_ns = 0, last_ns = 0;

  void add(const TextEvent& event);
  double prompt_ms() const { return ids.empty() ? 0 : static_cast<double>(first_ns - submitted_ns) / 1e6; }
  double decode_ms() const { return ids.empty() ? 0 : static_cast<double>(last_ns - first_ns) / 1e6; }
  int64_t decode_tokens() const { return ids.empty() ? 0 : static_cast<int64_t>(ids.size()) - 1; }
};

// One line of JSON; the keys are a contract (README).
std::string to_json_line(const Answer& answer, const Model& model);

// {"error": {"code", "message"}}.
std::string error_json_line(const std::string& code, const std::string& message);

int64_t steady_now_ns();

}  // namespace tern
