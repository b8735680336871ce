#include "server/request_record.h"

#include <algorithm>

#include "core/clock.h"
#include "server/log.h"

namespace tern {
namespace {

constexpr int kClientLeft = 499;  // as nginx counts it

int64_t now_ns() { return SteadyClock().now_ns(); }  // the engine's clock too

double seconds(int64_t ns) { return static_cast<double>(std::max<int64_t>(ns, 0)) * 1e-9; }
double milliseconds(int64_t ns) { return static_cast<double>(std::max<int64_t>(ns, 0)) * 1e-6; }

}  // namespace

std::string_view finish_label(FinishReason reason) {
  return reason == FinishReason::kCancelled ? "abort" : name_of(reason);
}

RequestRecord::RequestRecord(ServerCounts& counts) : counts_(counts), arrived_ns_(now_ns()) {}

RequestRecord::~RequestRecord() {
  on_answer_end();
  if (status == 0) status = kClientLeft;
  ++counts_.http[{route, status}];
  write_line();
}

void RequestRecord::on_submit(size_t choices, int64_t max_tokens) {
  choices_.resize(choices);
  submitted_ns_ = now_ns();
  ++counts_.streams;
  counts_.params_n.observe(static_cast<double>(choices));
  if (max_tokens > 0) counts_.params_max_tokens.observe(static_cast<double>(max_tokens));
}

void RequestRecord::on_event(size_t index, const TextEvent& event) {
  Choice& choice = choices_[index];
  if (event.token >= 0) {
    if (choice.last_token_ns == 0) {
      counts_.time_to_first_token.observe(seconds(event.time_ns - arrived_ns_));
      if (first_token_ns_ == 0) first_token_ns_ = event.time_ns;
    } else {
      counts_.inter_token_latency.observe(seconds(event.time_ns - choice.last_token_ns));
    }
    choice.last_token_ns = event.time_ns;
  }
  if (event.finish == FinishReason::kNone) return;
  choice.ended = true;
  ++counts_.finished[static_cast<size_t>(event.finish)];
  if (finish_ == FinishReason::kNone) finish_ = event.finish;
  if (event.report) on_report(*event.report);
}

void RequestRecord::on_report(const RequestReport& report) {
  prompt_tokens_ += report.prompt_tokens;
  cached_tokens_ += report.cached_tokens;
  answer_tokens_ += report.answer_tokens;
  most_answer_tokens_ = std::max(most_answer_tokens_, report.answer_tokens);
  preemptions_ += report.preemptions;
  counts_.prompt_tokens.observe(static_cast<double>(report.prompt_tokens));
  counts_.generation_tokens.observe(static_cast<double>(report.answer_tokens));
  counts_.preemptions.observe(static_cast<double>(report.preemptions));
  counts_.e2e_latency.observe(seconds(report.finished_ns - arrived_ns_));
  if (report.started_ns == 0) return;
  const int64_t queue_ns = report.started_ns - submitted_ns_;
  queue_ns_ = std::max(queue_ns_, queue_ns);
  counts_.queue_time.observe(seconds(queue_ns));
  counts_.inference_time.observe(seconds(report.finished_ns - report.started_ns));
  if (report.first_token_ns == 0) return;
  const int64_t prefill_ns = report.first_token_ns - report.started_ns;
  const int64_t decode_ns = report.finished_ns - report.first_token_ns;
  prefill_ns_ = std::max(prefill_ns_, prefill_ns);
  decode_ns_ = std::max(decode_ns_, decode_ns);
  counts_.prefill_time.observe(seconds(prefill_ns));
  counts_.decode_time.observe(seconds(decode_ns));
  if (report.answer_tokens > 1) {
    counts_.time_per_output_token.observe(seconds(decode_ns) / static_cast<double>(report.answer_tokens - 1));
  }
}

void RequestRecord::on_answer_end() {
  if (choices_.empty()) return;
  --counts_.streams;
  for (const Choice& choice : choices_) {
    if (choice.ended) continue;
    ++counts_.finished[static_cast<size_t>(FinishReason::kCancelled)];
    finish_ = FinishReason::kCancelled;
  }
  if (most_answer_tokens_ > 0) counts_.max_generation_tokens.observe(static_cast<double>(most_answer_tokens_));
  choices_.clear();
}

void RequestRecord::write_line() const {
  LogLine line(status >= 500           ? LogLevel::kWarning
               : quiet && status < 400 ? LogLevel::kDebug
                                       : LogLevel::kInfo,
               "request");
  line.add("id", id).add("method", method).add("route", route.empty() ? "unknown" : route).add("status", status);
  if (!key.empty()) line.add("key", key);
  if (!user.empty()) line.add("user", user);
  if (!error.empty()) line.add("error", error);
  if (submitted_ns_ > 0) {
    line.add("stream", stream ? "yes" : "no").add("finish", finish_label(finish_));
    line.add("prompt_tokens", prompt_tokens_).add("cached_tokens", cached_tokens_);
    line.add("answer_tokens", answer_tokens_).add("preemptions", preemptions_);
    line.add("queue_ms", milliseconds(queue_ns_)).add("prefill_ms", milliseconds(prefill_ns_));
    line.add("decode_ms", milliseconds(decode_ns_));
    if (first_token_ns_ > 0) line.add("first_token_ms", milliseconds(first_token_ns_ - arrived_ns_));
  }
  line.add("total_ms", milliseconds(now_ns() - arrived_ns_));
}

}  // namespace tern
