// GET /metrics: the text, the table behind it, and that the numbers are what happened.
#include "server/metrics.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "server/running_server.h"
#include "server/scraped.h"
#include "support/paths.h"

namespace tern {
namespace {

using namespace std::chrono_literals;
using testing::FakeDevice;
using testing::Gate;
using testing::HttpClient;
using testing::RunningServer;
using testing::sample;
using testing::scrape;

std::string text_of(const ServerCounts& server, std::string_view prefix = "tern", const EngineStats& engine = {}) {
  const MetricFacts facts;
  return metrics_text({server, engine, facts}, prefix, "tiny");
}

std::string body(int tokens, bool stream, nlohmann::json more = nlohmann::json::object()) {
  nlohmann::json request = {
      {"prompt", {40, 41, 42}}, {"max_tokens", tokens}, {"temperature", 0}, {"ignore_eos", true}, {"stream", stream}};
  request.update(more);
  return request.dump();
}

TEST(Metrics, DocumentIsMadeFromTheTable) {
  const std::string path = test::source_dir() + "/docs/metrics.md";
  if (std::getenv("TERN_UPDATE_DOCS") != nullptr) std::ofstream(path) << metrics_document();
  std::ifstream file(path);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_EQ(text, metrics_document()) << "TERN_UPDATE_DOCS=1 writes it anew";
}

TEST(Metrics, EveryRowHasHelpTypeAndSamples) {
  std::set<std::string_view> names;
  ServerCounts server;
  server.http[{"/health", 200}] = 7;
  const std::string text = text_of(server, "vllm");
  for (const Metric& metric : metric_table()) {
    EXPECT_TRUE(names.insert(metric.name).second) << metric.name;
    EXPECT_FALSE(metric.help.empty()) << metric.name;
    const std::string name = (metric.bare ? "" : "vllm:") + std::string(metric.name);
    EXPECT_NE(text.find("# HELP " + name), std::string::npos) << name;
    EXPECT_NE(text.find("\n" + name), std::string::npos) << name;
  }
  EXPECT_NE(
      text.find("vllm:http_requests_total{engine=\"0\",model_name=\"tiny\",route=\"/health\",status=\"200\"} 7\n"),
      std::string::npos);
}

TEST(Metrics, HistogramsAreCumulative) {
  ServerCounts server;
  for (const double seconds : {0.0005, 0.001, 0.0011, 3000.0}) server.time_to_first_token.observe(seconds);
  const auto values = testing::samples_of(text_of(server));
  const std::string name = "time_to_first_token_seconds";
  EXPECT_EQ(values.at(sample(name + "_bucket", "le=\"0.001\"")), 2);  // up to and with the bound
  EXPECT_EQ(values.at(sample(name + "_bucket", "le=\"0.005\"")), 3);
  EXPECT_EQ(values.at(sample(name + "_bucket", "le=\"2560\"")), 3);
  EXPECT_EQ(values.at(sample(name + "_bucket", "le=\"+Inf\"")), 4);
  EXPECT_EQ(values.at(sample(name + "_count")), 4);
  EXPECT_NEAR(values.at(sample(name + "_sum")), 3000.0026, 1e-3);
}

TEST(Metrics, StepsOfTheEngineAreAHistogram) {
  EngineStats engine;
  engine.steps_by_tokens[0] = 5;
  engine.steps_by_tokens[4] = 2;
  engine.steps_by_tokens[EngineStats::kStepBuckets - 1] = 1;
  engine.step_tokens = 20'037;
  const auto values = testing::samples_of(text_of({}, "tern", engine));
  EXPECT_EQ(values.at(sample("iteration_tokens_total_bucket", "le=\"1\"")), 5);
  EXPECT_EQ(values.at(sample("iteration_tokens_total_bucket", "le=\"16\"")), 7);
  EXPECT_EQ(values.at(sample("iteration_tokens_total_bucket", "le=\"8192\"")), 7);
  EXPECT_EQ(values.at(sample("iteration_tokens_total_count")), 8);
  EXPECT_EQ(values.at(sample("iteration_tokens_total_sum")), 20'037);
}

TEST(Metrics, LabelsAreEscaped) {
  const ServerCounts server;
  const EngineStats engine;
  const MetricFacts facts;
  const std::string text = metrics_text({server, engine, facts}, "tern", "a\"b\\c\nd");
  EXPECT_NE(text.find(R"(model_name="a\"b\\c\nd")"), std::string::npos);
}

TEST(Metrics, CountWhatHappened) {
  RunningServer server;
  const double before = scrape(server.port()).at(sample("generation_tokens_total"));  // the tests share one engine
  HttpClient client(server.port());
  EXPECT_EQ(client.post("/v1/completions", body(12, true)).status, 200);
  EXPECT_EQ(client.post("/v1/completions", body(9, false, {{"n", 3}})).status, 200);
  EXPECT_EQ(client.post("/v1/completions", body(9, false, {{"temperature", -1}})).status, 400);
  EXPECT_EQ(client.get("/nowhere").status, 404);
  EXPECT_EQ(client.get("/secret-in-a-path").status, 404);
  const auto values = scrape(server.port());
  EXPECT_EQ(values.at(sample("http_requests_total", R"(route="/v1/completions",status="200")")), 2);
  EXPECT_EQ(values.at(sample("http_requests_total", R"(route="/v1/completions",status="400")")), 1);
  EXPECT_EQ(values.at(sample("http_requests_total", R"(route="unknown",status="404")")), 2);
  EXPECT_EQ(values.at(sample("request_success_total", R"(finished_reason="length")")), 4);
  EXPECT_EQ(values.at(sample("request_success_total", R"(finished_reason="abort")")), 0);
  EXPECT_EQ(values.at(sample("time_to_first_token_seconds_count")), 4);
  EXPECT_EQ(values.at(sample("inter_token_latency_seconds_count")), 11 + 3 * 8);
  EXPECT_EQ(values.at(sample("request_generation_tokens_sum")), 12 + 3 * 9);
  EXPECT_EQ(values.at(sample("request_prompt_tokens_sum")), 4 * 3);
  EXPECT_EQ(values.at(sample("request_params_n_sum")), 1 + 3);
  EXPECT_EQ(values.at(sample("request_params_max_tokens_sum")), 12 + 9);
  EXPECT_EQ(values.at(sample("request_max_num_generation_tokens_sum")), 12 + 9);
  for (const char* name : {"e2e_request_latency_seconds", "request_queue_time_seconds", "request_prefill_time_seconds",
                           "request_decode_time_seconds", "request_inference_time_seconds",
                           "request_time_per_output_token_seconds", "request_num_preemptions"}) {
    EXPECT_EQ(values.at(sample(std::string(name) + "_count")), 4) << name;
  }
  // The parts of a request's time add up to no more than the whole.
  EXPECT_LE(
      values.at(sample("request_queue_time_seconds_sum")) + values.at(sample("request_inference_time_seconds_sum")),
      values.at(sample("e2e_request_latency_seconds_sum")) + 1e-6);
  EXPECT_EQ(values.at(sample("generation_tokens_total")) - before, 12 + 3 * 9);
  EXPECT_EQ(values.at(sample("num_requests_running")), 0);
  EXPECT_EQ(values.at(sample("kv_blocks_free")), values.at(sample("kv_blocks")));
  EXPECT_EQ(values.at(sample("http_connections")), 2);
  EXPECT_EQ(values.at(sample("http_answers_running")), 0);
  EXPECT_GT(values.at(sample("weights_bytes")), 100'000);
  EXPECT_GT(values.at("process_resident_memory_bytes"), 1e6);
  EXPECT_GT(values.at("process_threads"), 2);
}

TEST(Metrics, AClientThatLeavesIsAnAbort) {
  FakeDevice device;
  Gate gate;
  device.gate = &gate;
  RunningServer server(device, {});
  {
    HttpClient client(server.port());
    client.start_post("/v1/completions", body(200, true));
    gate.allow(3);
    EXPECT_EQ(client.read_head().status, 200);
    EXPECT_EQ(scrape(server.port()).at(sample("num_requests_running")), 1);
  }
  std::map<std::string, double> values;
  for (int i = 0; i < 400; ++i) {
    values = scrape(server.port());
    if (i % 4 == 0) gate.allow(1);  // notices between steps that nobody reads
    if (values.at(sample("request_success_total", R"(finished_reason="abort")")) > 0) break;
    std::this_thread::sleep_for(5ms);
  }
  gate.open();
  EXPECT_EQ(values.at(sample("request_success_total", R"(finished_reason="abort")")), 1);
  EXPECT_EQ(values.at(sample("request_success_total", R"(finished_reason="length")")), 0);
  EXPECT_EQ(values.at(sample("http_answers_running")), 0);
}

}  // namespace
}  // namespace tern
