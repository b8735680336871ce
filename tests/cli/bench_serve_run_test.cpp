// The load against a server that answers what it is told: what is sent, what is read, and what counts as failed.
#include "cli/bench_serve_run.h"

#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>

#include "canned_server.h"
#include "cli/bench_serve_options.h"
#include "core/error.h"

namespace tern {
namespace {

using nlohmann::json;
using test::CannedServer;

LoadTarget target_of(const CannedServer& server) {
  LoadTarget target;
  target.address.port = server.port();
  target.style.model = "m";
  target.silence = std::chrono::seconds(10);
  return target;
}

json body_of(const std::string& request) { return json::parse(request.substr(request.find("\r\n\r\n") + 4)); }

std::vector<PlannedRequest> plain_plan(size_t count, int64_t input = 8) {
  return std::vector<PlannedRequest>(count, PlannedRequest{.input_tokens = input, .output_tokens = 3});
}

RequestRecord one(const CannedServer::Reply& reply) {
  CannedServer server([&](const std::string&) { return reply; });
  return run_load(target_of(server), plain_plan(1), PromptMaker(1, {}, 0)).records.at(0);
}

TEST(Load, ReadsAnAnswer) {
  const RequestRecord record = one(test::streamed(test::completion_events({"a", "b", "", "c"}, 21, 4)));
  EXPECT_TRUE(record.success()) << record.error;
  EXPECT_EQ(record.text, "abc");
  EXPECT_EQ(record.prompt_tokens, 21);
  EXPECT_EQ(record.output_tokens, 4) << "by the server's count, not by pieces";
  EXPECT_EQ(record.gaps_s.size(), 2u) << "an event without text is no piece";
  EXPECT_GE(record.ttft_s(), 0);
  EXPECT_GE(record.latency_s(), record.ttft_s());
}

TEST(Load, TimesPiecesAsTheyArrive) {
  const std::string events = test::completion_events({"a", "b"}, 5, 2);
  const size_t second = events.find("data: ", 1);
  const RequestRecord record = one({{test::chunked_head(), test::chunk(events.substr(0, second)),
                                     test::chunk(events.substr(second)) + test::kLastChunk},
                                    false,
                                    40});
  ASSERT_TRUE(record.success()) << record.error;
  ASSERT_EQ(record.gaps_s.size(), 1u);
  EXPECT_GE(record.ttft_s(), 0.075);
  EXPECT_GE(record.gaps_s[0], 0.035f);
}

TEST(Load, ReadsChatDeltasAndThoughts) {
  const RequestRecord record = one(test::streamed(
      R"(data: {"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}

data: {"choices":[{"delta":{"reasoning":"x","reasoning_content":"x"},"finish_reason":null}]}

data: {"choices":[{"delta":{"content":"y"},"finish_reason":null}]}

data: {"choices":[{"delta":{},"finish_reason":"stop"}]}

data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4}}}

data: [DONE]

)"));
  EXPECT_TRUE(record.success()) << record.error;
  EXPECT_EQ(record.text, "xy");
  EXPECT_EQ(record.gaps_s.size(), 1u);
  EXPECT_EQ(record.cached_tokens, 4);
}

TEST(Load, CountsPiecesWhereTheServerDoesNotCount) {
  const RequestRecord record = one(test::streamed("data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: [DONE]\n\n"));
  EXPECT_TRUE(record.success()) << record.error;
  EXPECT_EQ(record.output_tokens, 1);
  EXPECT_EQ(record.prompt_tokens, 8);
}

TEST(Load, SaysWhyARequestFailed) {
  const std::string events = test::completion_events({"a", "b"}, 5, 2);
  const std::string begun = events.substr(0, events.find("data: ", 1));
  EXPECT_EQ(one({{test::plain_reply(429, R"({"error":{"message":"the queue is full"}})")}}).error,
            "HTTP 429: the queue is full");
  EXPECT_EQ(one({{test::plain_reply(500, "oh")}}).error, "HTTP 500: oh");
  EXPECT_EQ(one(test::streamed("data: {\"error\":{\"message\":\"cut\"}}\n\n")).error, "cut");
  EXPECT_EQ(one(test::streamed("data: nonsense\n\n")).error, "an event is no JSON object: nonsense");
  EXPECT_EQ(one(test::streamed(begun)).error, "the stream ended before the answer");
  EXPECT_EQ(one({{test::chunked_head() + test::chunk(begun)}, true}).error,
            "reading: the server closed the connection");
  EXPECT_EQ(one({{}, true}).error, "waiting: the server closed the connection");
}

TEST(Load, SendsWhatItIsToldAndTheSameTwice) {
  CannedServer server([&](const std::string&) { return test::streamed(test::completion_events({"a"}, 5, 1)); });
  LoadTarget target = target_of(server);
  target.style.ignore_eos = true;
  target.style.temperature = 0;
  target.style.api_key = "secret";
  target.style.extra_body = {{"top_k", 1}};
  run_load(target, plain_plan(2), PromptMaker(1, {}, 0));
  run_load(target, plain_plan(2), PromptMaker(1, {}, 0));
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 4u);
  const json body = body_of(requests[0]);
  EXPECT_EQ(body["model"], "m");
  EXPECT_EQ(body["max_tokens"], 3);
  EXPECT_EQ(body["stream"], true);
  EXPECT_EQ(body["stream_options"]["include_usage"], true);
  EXPECT_EQ(body["ignore_eos"], true);
  EXPECT_EQ(body["temperature"], 0);
  EXPECT_EQ(body["top_k"], 1);
  EXPECT_NE(requests[0].find("\r\nAuthorization: Bearer secret\r\n"), std::string::npos);
  std::vector<std::string> prompts;
  for (const std::string& request : requests) prompts.push_back(body_of(request)["prompt"].get<std::string>());
  std::sort(prompts.begin(), prompts.end());
  EXPECT_EQ(prompts[0], prompts[1]);
  EXPECT_NE(prompts[1], prompts[2]);
  EXPECT_EQ(prompts[2], prompts[3]);
}

TEST(Load, KeepsToItsConcurrency) {
  std::atomic<int> now = 0, most = 0;
  CannedServer server([&](const std::string&) {
    const int running = ++now;
    for (int seen = most; running > seen && !most.compare_exchange_weak(seen, running);) {
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(15));
    --now;
    return test::streamed(test::completion_events({"a"}, 5, 1));
  });
  LoadTarget target = target_of(server);
  target.max_concurrency = 3;
  const LoadResult result = run_load(target, plain_plan(12), PromptMaker(1, {}, 0));
  for (const RequestRecord& record : result.records) EXPECT_TRUE(record.success()) << record.error;
  EXPECT_EQ(most, 3);
  EXPECT_EQ(server.connections(), 3) << "connections are used again";
  EXPECT_GT(result.records[11].queue_s(), 0.03);
}

TEST(Load, RequestsComeAtTheirTimes) {
  CannedServer server([&](const std::string&) { return test::streamed(test::completion_events({"a"}, 5, 1)); });
  auto plan = plain_plan(3);
  plan[1].at_s = 0.05;
  plan[2].at_s = 0.12;
  const LoadResult result = run_load(target_of(server), plan, PromptMaker(1, {}, 0));
  for (size_t i = 0; i < 3; ++i) {
    const double at = static_cast<double>(result.records[i].start_ns - result.start_ns) / 1e9;
    EXPECT_GE(at, plan[i].at_s);
    EXPECT_LT(at, plan[i].at_s + 1);
  }
  EXPECT_GE(result.duration_s, 0.12);
}

TEST(Load, ATurnRepeatsWhatWasSaidBefore) {
  for (const bool chat : {false, true}) {
    CannedServer server(
        [&](const std::string&) { return test::streamed(test::completion_events({" yes", " no"}, 5, 2)); });
    LoadTarget target = target_of(server);
    if (chat) target.style.endpoint = "/v1/chat/completions";
    PlanOptions options;
    options.num_prompts = 3;
    options.conversations = 1;
    options.input = LengthDistribution::around(4, 0);
    const LoadResult result = run_load(target, plan_requests(options), PromptMaker(1, {}, 6));
    const auto requests = server.requests();
    ASSERT_EQ(requests.size(), 3u);
    if (chat) {
      const json first = body_of(requests[0])["messages"], last = body_of(requests[2])["messages"];
      ASSERT_EQ(last.size(), 5u);
      EXPECT_EQ(last[0], first[0]);
      EXPECT_EQ(last[1], (json{{"role", "assistant"}, {"content", " yes no"}}));
      EXPECT_EQ(last[4]["role"], "user");
    } else {
      const auto first = body_of(requests[0])["prompt"].get<std::string>();
      const auto second = body_of(requests[1])["prompt"].get<std::string>();
      EXPECT_EQ(std::count(first.begin(), first.end(), ' '), 10);
      EXPECT_EQ(second.rfind(first + " yes no ", 0), 0u) << second;
      EXPECT_EQ(body_of(requests[2])["prompt"].get<std::string>().rfind(second + " yes no ", 0), 0u);
    }
    EXPECT_TRUE(result.records[2].success());
  }
}

TEST(Load, AFailedTurnEndsItsConversation) {
  CannedServer server([&](const std::string&) { return CannedServer::Reply{{test::plain_reply(500, "no")}}; });
  PlanOptions options;
  options.num_prompts = 3;
  options.conversations = 1;
  const LoadResult result = run_load(target_of(server), plan_requests(options), PromptMaker(1, {}, 0));
  EXPECT_EQ(server.requests().size(), 1u);
  EXPECT_EQ(result.records[2].error, "the turn before it failed");
}

TEST(Load, WaitsForTheServersModel) {
  std::atomic<int> asked = 0;
  CannedServer server([&](const std::string&) {
    const bool ready = ++asked > 1;
    return CannedServer::Reply{{ready ? test::plain_reply(200, R"({"data":[{"id":"one"},{"id":"two"}]})")
                                      : test::plain_reply(503, R"({"error":{"message":"Loading model"}})")}};
  });
  EXPECT_EQ(first_model(target_of(server), std::chrono::seconds(5)), "one");
  asked = 0;
  EXPECT_THROW(first_model(target_of(server), std::chrono::seconds(0)), Error);
}

TEST(Load, MeasuresTokensAWord) {
  CannedServer server([&](const std::string& request) {
    const auto prompt = body_of(request)["prompt"].get<std::string>();
    const auto words = static_cast<int>(std::count(prompt.begin(), prompt.end(), ' '));
    return test::streamed(test::completion_events({"a"}, 2 * words + 3, 1));
  });
  const TokenRate rate = measure_token_rate(target_of(server));
  EXPECT_EQ(rate.per_word, 2);
  EXPECT_EQ(rate.fixed, 3);
}

TEST(Options, MeanWhatTheySay) {
  BenchServeOptions options;
  CLI::App app;
  options.add(app);
  app.parse(
      "--base-url http://h:9/v1 --num-prompts 4 --request-rate inf --goodput ttft:500 tpot:50 --burstiness 0.5 "
      "--input-lengths uniform:1:2 --max-concurrency 8 --ignore-eos --model x");
  const LoadTarget target = options.target();
  EXPECT_EQ(target.address.prefix, "") << "the endpoint has /v1 already";
  EXPECT_EQ(target.address.port, 9);
  EXPECT_EQ(target.max_concurrency, 8u);
  EXPECT_TRUE(target.style.ignore_eos);
  EXPECT_EQ(target.style.model, "x");
  EXPECT_EQ(options.plan().num_prompts, 4u);
  EXPECT_TRUE(std::isinf(options.plan().request_rate));
  EXPECT_EQ(options.report().goodput_ms.at("tpot"), 50);
}

TEST(Options, RefuseWhatIsWrong) {
  for (const char* rate : {"0", "-1", "nan", "x"}) {
    BenchServeOptions wrong;
    CLI::App app;
    wrong.add(app);
    EXPECT_THROW(app.parse(std::string("--request-rate ") + rate), CLI::ParseError) << rate;
  }
  BenchServeOptions options;
  options.extra_body = "[1]";
  EXPECT_THROW(options.target(), Error);
  options.extra_body.clear();
  options.endpoint = "v1/completions";
  EXPECT_THROW(options.target(), Error);
  options.input_lengths = "file:/nonexistent";
  EXPECT_THROW(options.plan(), Error);
}

}  // namespace
}  // namespace tern
