#include "cli/answer.h"

#include <fmt/core.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "core/clock.h"
#include "core/host_memory.h"

namespace tern {
namespace {

// 9 significant digits: what a float32 needs to come back as it was.
double nine_digits(float value) { return std::strtod(fmt::format("{:.9g}", value).c_str(), nullptr); }

nlohmann::ordered_json logprobs_json(const std::vector<int32_t>& ids, const std::vector<TokenLogprobs>& logprobs) {
  auto rows = nlohmann::ordered_json::array();
  for (size_t i = 0; i < logprobs.size(); ++i) {
    auto top = nlohmann::ordered_json::array();
    for (const auto& [id, logprob] : logprobs[i].top) top.push_back({id, nine_digits(logprob)});
    rows.push_back({{"id", ids[i]}, {"logprob", nine_digits(logprobs[i].logprob)}, {"top", std::move(top)}});
  }
  return rows;
}

}  // namespace

int64_t steady_now_ns() { return SteadyClock().now_ns(); }

void Answer::add(const TextEvent& event) {
  text += event.text;
  finish = event.finish;
  last_ns = event.time_ns;
  if (event.token < 0) return;
  if (ids.empty()) first_ns = event.time_ns;
  ids.push_back(event.token);
  if (event.logprobs) logprobs.push_back(*event.logprobs);
}

nlohmann::ordered_json to_json(const Answer& answer, int64_t load_ms) {
  nlohmann::ordered_json out;
  out["prompt_ids"] = answer.prompt_ids;
  out["ids"] = answer.ids;
  out["text"] = answer.text;
  out["finish_reason"] = name_of(answer.finish);
  out["seed"] = answer.seed;
  if (answer.wants_logprobs) out["logprobs"] = logprobs_json(answer.ids, answer.logprobs);
  out["timings"] = {{"load_ms", load_ms},
                    {"prompt_ms", answer.prompt_ms()},
                    {"prompt_tokens", answer.prompt_ids.size()},
                    {"decode_ms", answer.decode_ms()},
                    {"decode_tokens", answer.decode_tokens()},
                    {"peak_rss_bytes", peak_resident_bytes()}};
  return out;
}

nlohmann::ordered_json error_json(const std::string& code, const std::string& message) {
  return {{"error", {{"code", code}, {"message", message}}}};
}

}  // namespace tern
