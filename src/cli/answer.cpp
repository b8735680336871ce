#include "cli/answer.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "core/clock.h"
#include "core/host_memory.h"

namespace tern {
namespace {

// 9 significant digits: what a float32 needs to come back as it was. Written by hand: a JSON library prints a double,
// with up to 17.
std::string logprobs_text(const std::vector<int32_t>& ids, const std::vector<TokenLogprobs>& logprobs) {
  std::string rows;
  for (size_t i = 0; i < logprobs.size(); ++i) {
    std::string top;
    for (const auto& [id, logprob] : logprobs[i].top)
      top += fmt::format("{}[{},{:.9g}]", top.empty() ? "" : ",", id, logprob);
    rows += fmt::format("{}{{\"id\":{},\"logprob\":{:.9g},\"top\":[{}]}}", rows.empty() ? "" : ",", ids[i],
                        logprobs[i].logprob, top);
  }
  return "[" + rows + "]";
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

std::string to_json_line(const Answer& answer, const Model& model) {
  nlohmann::ordered_json out;
  out["prompt_ids"] = answer.prompt_ids;
  out["ids"] = answer.ids;
  out["text"] = answer.text;
  out["finish_reason"] = name_of(answer.finish);
  out["seed"] = answer.seed;
  if (answer.wants_logprobs) out["logprobs"] = nullptr;  // filled in below
  out["timings"] = {{"load_ms", model.load_ms()},
                    {"prompt_ms", answer.prompt_ms()},
                    {"prompt_tokens", answer.prompt_ids.size()},
                    {"decode_ms", answer.decode_ms()},
                    {"decode_tokens", answer.decode_tokens()},
                    {"peak_rss_bytes", peak_resident_bytes()}};
  const PackCacheReport packed = model.runner().pack_cache();
  out["pack_cache"] = {{"state", name_of(packed.state)}, {"bytes", packed.bytes}, {"reason", packed.reason}};
  std::string line = out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  // Inside a string the quotes would be escaped, so this is the key itself.
  constexpr std::string_view kEmpty = "\"logprobs\":null";
  if (const size_t at = line.find(kEmpty); at != std::string::npos) {
    line.replace(at, kEmpty.size(), "\"logprobs\":" + logprobs_text(answer.ids, answer.logprobs));
  }
  return line;
}

std::string error_json_line(const std::string& code, const std::string& message) {
  const nlohmann::ordered_json out{{"error", {{"code", code}, {"message", message}}}};
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace tern
