#include "cli/bench_serve_run.h"

#include <fmt/core.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <memory>
#include <thread>

#include "core/clock.h"
#include "core/error.h"

namespace tern {
namespace asio = boost::asio;
using nlohmann::json;
namespace {

constexpr std::chrono::milliseconds kRetry{250};
constexpr int64_t kProbeWords[] = {64, 320};

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Runs one exchange to its end.
HttpOutcome exchange_now(const LoadTarget& target, const HttpCall& call, std::string& body) {
  asio::io_context io(1);
  HttpClient client(io, target.address, resolve(io, target.address), target.silence);
  HttpOutcome outcome;
  const HttpClient::Body on_body = [&](int, std::string_view bytes) { body.append(bytes); };
  const auto once = [&]() -> asio::awaitable<void> { outcome = co_await client.exchange(call, on_body); };
  asio::co_spawn(io, once, asio::detached);
  io.run();
  return outcome;
}

class Load {
 public:
  Load(const LoadTarget& target, const std::vector<PlannedRequest>& plan, const PromptMaker& prompts, size_t index_base)
      : target_(target),
        plan_(plan),
        prompts_(prompts),
        index_base_(index_base),
        endpoints_(resolve(io_, target.address)),
        records_(plan.size()) {
    for (const PlannedRequest& request : plan) {
      if (request.conversation >= static_cast<int64_t>(histories_.size())) {
        histories_.resize(static_cast<size_t>(request.conversation) + 1);
      }
    }
  }

  LoadResult run() {
    LoadResult result;
    const double cpu = cpu_seconds();
    start_ = SteadyClock().now_ns();
    asio::co_spawn(io_, arrive(), asio::detached);
    io_.run();
    result.start_ns = start_;
    result.duration_s = static_cast<double>(SteadyClock().now_ns() - start_) / 1e9;
    result.cpu_s = cpu_seconds() - cpu;
    result.records = std::move(records_);
    return result;
  }

 private:
  struct History {
    std::string text;
    json messages = json::array();
  };

  // First turns come at their times; later ones when the turn before is answered.
  asio::awaitable<void> arrive() {
    asio::steady_timer timer(io_);
    const auto origin = asio::steady_timer::clock_type::now();
    for (size_t i = 0; i < plan_.size(); ++i) {
      if (!plan_[i].first_turn) continue;
      if (plan_[i].at_s > 0) {
        boost::system::error_code ignored;
        timer.expires_at(origin + std::chrono::nanoseconds(static_cast<int64_t>(plan_[i].at_s * 1e9)));
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      }
      enqueue(i, start_ + static_cast<int64_t>(plan_[i].at_s * 1e9));
    }
  }

  void enqueue(size_t index, int64_t arrival_ns) {
    records_[index].arrival_ns = arrival_ns;
    waiting_.push_back(index);
    start_waiting();
  }

  void start_waiting() {
    while (!waiting_.empty() && (target_.max_concurrency == 0 || running_ < target_.max_concurrency)) {
      const size_t index = waiting_.front();
      waiting_.pop_front();
      ++running_;
      asio::co_spawn(io_, perform(index), asio::detached);
    }
  }

  asio::awaitable<void> perform(size_t index) {
    RequestRecord& record = records_[index];
    record.prompt_tokens = plan_[index].input_tokens;  // until the server says better
    std::unique_ptr<HttpClient> client = take_client();
    HttpCall call = target_.style.call(input_of(index), plan_[index].output_tokens);
    co_await send_request(*client, std::move(call), record);
    idle_.push_back(std::move(client));
    --running_;
    follow_up(index);
    start_waiting();
  }

  // The prompt, or the messages, of a request: history included.
  json input_of(size_t index) {
    const PlannedRequest& request = plan_[index];
    std::string words = prompts_.prompt(request, index_base_ + index);
    History alone;
    History& history = request.conversation < 0 ? alone : histories_[static_cast<size_t>(request.conversation)];
    if (target_.style.chat()) {
      history.messages.push_back({{"role", "user"}, {"content", std::move(words)}});
      return history.messages;
    }
    history.text += words;
    return history.text;
  }

  void follow_up(size_t index) {
    const PlannedRequest& request = plan_[index];
    if (request.next_turn < 0) return;
    const auto next = static_cast<size_t>(request.next_turn);
    const RequestRecord& record = records_[index];
    if (!record.success()) {
      records_[next].error = "the turn before it failed";
      return follow_up(next);
    }
    History& history = histories_[static_cast<size_t>(request.conversation)];
    history.text += record.text;
    history.messages.push_back({{"role", "assistant"}, {"content", record.text}});
    enqueue(next, SteadyClock().now_ns());
  }

  std::unique_ptr<HttpClient> take_client() {
    if (idle_.empty()) return std::make_unique<HttpClient>(io_, target_.address, endpoints_, target_.silence);
    std::unique_ptr<HttpClient> client = std::move(idle_.back());
    idle_.pop_back();
    return client;
  }

  const LoadTarget& target_;
  const std::vector<PlannedRequest>& plan_;
  const PromptMaker& prompts_;
  size_t index_base_;
  asio::io_context io_{1};
  asio::ip::tcp::resolver::results_type endpoints_;
  std::vector<RequestRecord> records_;
  std::vector<History> histories_;
  std::deque<size_t> waiting_;
  std::vector<std::unique_ptr<HttpClient>> idle_;
  size_t running_ = 0;
  int64_t start_ = 0;
};

}  // namespace

std::string first_model(const LoadTarget& target, std::chrono::milliseconds patience) {
  HttpCall call{.method = "GET", .path = "/v1/models"};
  if (!target.style.api_key.empty()) call.headers.emplace_back("Authorization", "Bearer " + target.style.api_key);
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (true) {
    std::string body;
    const HttpOutcome outcome = exchange_now(target, call, body);
    if (outcome.ok()) {
      const json models = json::parse(body, nullptr, false);
      const json::json_pointer first_id("/data/0/id");
      if (models.is_object() && models.contains(first_id) && models.at(first_id).is_string()) {
        return models.at(first_id).get<std::string>();
      }
      fail(ErrorCode::kFailed, "[bench] /v1/models names no model: give --model");
    }
    const bool waits = outcome.status == 0 || outcome.status == 503;
    if (!waits || std::chrono::steady_clock::now() >= deadline) {
      fail(ErrorCode::kFailed, fmt::format("[bench] {}: {}", target.address.authority(),
                                           outcome.status == 0 ? outcome.error : error_message(outcome.status, body)));
    }
    std::this_thread::sleep_for(kRetry);
  }
}

TokenRate measure_token_rate(const LoadTarget& target) {
  int64_t tokens[2] = {};
  for (size_t i = 0; i < 2; ++i) {
    const PlannedRequest probe{.input_tokens = kProbeWords[i], .output_tokens = 1};
    const LoadResult result = run_load(target, {probe}, PromptMaker(0x70726f6265 + i, {}, 0));
    const RequestRecord& record = result.records[0];
    if (!record.success()) fail(ErrorCode::kFailed, "[bench] the first request failed: " + record.error);
    tokens[i] = record.prompt_tokens;
  }
  return TokenRate::of(kProbeWords[0], tokens[0], kProbeWords[1], tokens[1]);
}

LoadResult run_load(const LoadTarget& target, const std::vector<PlannedRequest>& plan, const PromptMaker& prompts,
                    size_t index_base) {
  return Load(target, plan, prompts, index_base).run();
}

}  // namespace tern
