// The log: lines that programs can read, one a request, and never a word of a prompt or an answer.
#include "server/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "server/captured_stderr.h"
#include "server/running_server.h"
#include "server/status_line.h"

namespace tern {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::CapturedStderr;
using testing::FakeDevice;
using testing::HttpClient;
using testing::RunningServer;

// Everything is logged while this lives.
class Logging {
 public:
  explicit Logging(LogLevel level = LogLevel::kDebug) { configure_log(level, LogFormat::kJson); }
  ~Logging() { configure_log(LogLevel::kWarning, LogFormat::kText); }
};

std::vector<json> lines_of(const std::string& text) {
  std::vector<json> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) out.push_back(json::parse(line));
  return out;
}

TEST(Log, TextAndJson) {
  configure_log(LogLevel::kInfo, LogFormat::kText);
  CapturedStderr text;
  LogLine(LogLevel::kInfo, "hello").add("a", 1).add("b", "two words").add("c", "x=\"y\"\n").add("d", 0.5);
  LogLine(LogLevel::kDebug, "not wanted");
  const std::string line = text.text();
  EXPECT_NE(line.find(R"( level=info event=hello a=1 b="two words" c="x=\"y\"\n" d=0.500)"
                      "\n"),
            std::string::npos)
      << line;
  EXPECT_EQ(line.find("not wanted"), std::string::npos);
  const Logging logging;
  CapturedStderr as_json;
  LogLine(LogLevel::kError, "bad \xff bytes").add("long", std::string(5000, 'x'));
  const auto lines = lines_of(as_json.text());
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["level"], "error");
  EXPECT_EQ(lines[0]["long"].get<std::string>().size(), 512u);
}

TEST(Log, AStuckReaderStopsNobody) {
  const Logging logging;
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const int saved = ::dup(STDERR_FILENO);
  ::dup2(ends[1], STDERR_FILENO);
  const uint64_t before = log_lines_dropped();
  for (int i = 0; i < 2000; ++i) LogLine(LogLevel::kInfo, "fills the pipe").add("padding", std::string(100, 'x'));
  ::dup2(saved, STDERR_FILENO);
  for (const int descriptor : {ends[0], ends[1], saved}) ::close(descriptor);
  EXPECT_GT(log_lines_dropped(), before);
}

TEST(Log, OneLineARequestWithWhatBecameOfIt) {
  RunningServer server(ServerOptions{.api_keys = [] {
    ApiKeys keys;
    keys.add_lines("team:key");
    return keys;
  }()});
  const Logging logging(LogLevel::kInfo);
  CapturedStderr captured;
  HttpClient client(server.port());
  const std::string key = "x-api-key: key\r\n";
  client.post("/v1/completions", R"({"prompt":[40,41],"max_tokens":5,"ignore_eos":true,"user":"Zoë","stream":true})",
              key + "X-Request-Id: id-1\r\n");
  client.post("/v1/completions", "{", key + "X-Request-Id: id-2\r\n");
  client.get("/health");
  client.get("/metrics", key);
  client.get("/v1/models");
  client.get("/nowhere?x=1", key);
  client.get("/ping", key);  // answered after the line of the request before it
  const auto lines = lines_of(captured.text());
  ASSERT_EQ(lines.size(), 4u);  // probes that succeed are for debugging
  EXPECT_EQ(lines[0]["event"], "request");
  EXPECT_EQ(lines[0]["id"], "id-1");
  EXPECT_EQ(lines[0]["route"], "/v1/completions");
  EXPECT_EQ(lines[0]["status"], 200);
  EXPECT_EQ(lines[0]["key"], "team");
  EXPECT_EQ(lines[0]["user"], "Zoë");
  EXPECT_EQ(lines[0]["finish"], "length");
  EXPECT_EQ(lines[0]["prompt_tokens"], 2);
  EXPECT_EQ(lines[0]["answer_tokens"], 5);
  for (const char* time : {"queue_ms", "prefill_ms", "decode_ms", "first_token_ms"}) {
    EXPECT_GE(lines[0][time], 0) << time;
    EXPECT_LE(lines[0][time], lines[0]["total_ms"]) << time;
  }
  EXPECT_EQ(lines[1]["id"], "id-2");
  EXPECT_EQ(lines[1]["status"], 400);
  EXPECT_EQ(lines[1]["error"], "invalid_json");
  EXPECT_EQ(lines[2]["status"], 401);
  EXPECT_EQ(lines[3]["route"], "unknown");
}

// The marker goes wherever a client can put text; what the log says must not hold it.
TEST(Log, NoTextOfPromptsOrAnswers) {
  const std::string marker = "Marker7Zebra";
  FakeDevice device;
  RunningServer server(device, ServerOptions{.header_deadline = 200ms, .body_deadline = 200ms});
  const Logging logging;
  CapturedStderr captured;
  const auto post = [&](const std::string& path, const std::string& body) {
    HttpClient client(server.port());
    return client.post(path, body).status;
  };
  const json messages = json::array({{{"role", "user"}, {"content", marker}}});
  EXPECT_EQ(post("/v1/chat/completions", json{{"messages", messages}, {"max_tokens", 3}}.dump()), 200);
  EXPECT_EQ(post("/v1/chat/completions", json{{"messages", messages}, {"max_tokens", 3}, {"stream", true}}.dump()),
            200);
  EXPECT_EQ(post("/v1/completions", json{{"prompt", marker}, {"max_tokens", 3}}.dump()), 200);
  for (const json& more : std::vector<json>{{{"model", marker}},
                                            {{"temperature", marker}},
                                            {{"stop", json::array({marker, 1})}},
                                            {{"logit_bias", {{marker, 1}}}},
                                            {{marker, marker}},
                                            {{"tools", json::array({{{"x", marker}}})}},
                                            {{"response_format", {{"type", marker}}}},
                                            {{"chat_template_kwargs", {{marker, marker}}}},
                                            {{"stream_options", marker}},
                                            {{"cache_salt", marker}}}) {
    json body = {{"messages", messages}, {"max_tokens", 2}};
    body.update(more);
    post("/v1/chat/completions", body.dump());
  }
  EXPECT_EQ(post("/v1/chat/completions", R"({"messages":[{"role":")" + marker + R"(","content":"a"}]})"), 400);
  EXPECT_EQ(post("/v1/chat/completions", "{\"messages\":\"" + marker), 400);  // ends inside
  EXPECT_EQ(post("/v1/completions", json{{"prompt", marker + std::string(100'000, ' ') + "a b c"}}.dump()), 400);
  EXPECT_EQ(post("/" + marker, marker), 404);
  post("/tokenize", json{{"prompt", marker}}.dump());
  device.nan = true;
  EXPECT_EQ(post("/v1/completions", json{{"prompt", marker}, {"max_tokens", 3}}.dump()), 500);
  for (const std::string& bytes : std::initializer_list<std::string>{
           marker + "\r\n\r\n", "GET /health?" + marker + " HTTP/1.1\r\nHost: x\r\n\r\n",
           marker + " /health HTTP/1.1\r\nHost: x\r\n\r\n", "GET /health HTTP/1.1\r\nHost: " + marker,
           "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n" + marker,
           "GET /health HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + marker + "\r\n\r\n"}) {
    HttpClient client(server.port());
    client.send(bytes);
    client.read();
  }
  device.fails = true;
  EXPECT_EQ(post("/v1/completions", json{{"prompt", marker}, {"max_tokens", 3}}.dump()), 500);
  HttpClient(server.port()).get("/ping");
  const std::string log = captured.text();
  EXPECT_GE(lines_of(log).size(), 24u) << log;
  for (const std::string& text : {marker, std::string("marker7zebra"), std::string("Zebra")}) {
    EXPECT_EQ(log.find(text), std::string::npos) << log.substr(log.find(text) - 200, 300);
  }
}

TEST(Log, StatusWhileThereIsTraffic) {
  const Logging logging;
  CapturedStderr captured;
  StatusLine status;
  EngineStats stats;
  stats.kv_blocks = 100;
  stats.kv_blocks_free = 100;
  status.log(stats, 0);
  stats.steps = 10;
  stats.prompt_tokens = 500;
  stats.answer_tokens = 1000;
  stats.running = 4;
  stats.waiting = 2;
  stats.kv_blocks_free = 75;
  stats.prefix_cache_queries = 200;
  stats.prefix_cache_hits = 50;
  status.log(stats, 10'000'000'000);
  stats.running = stats.waiting = 0;
  status.log(stats, 20'000'000'000);
  status.log(stats, 30'000'000'000);
  const auto lines = lines_of(captured.text());
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["prompt_tokens_per_s"], 50.0);
  EXPECT_EQ(lines[0]["answer_tokens_per_s"], 100.0);
  EXPECT_EQ(lines[0]["running"], 4);
  EXPECT_EQ(lines[0]["waiting"], 2);
  EXPECT_EQ(lines[0]["kv_usage_percent"], 25.0);
  EXPECT_EQ(lines[0]["prefix_hit_percent"], 25.0);
  EXPECT_EQ(lines[1]["answer_tokens_per_s"], 0.0);
}

}  // namespace
}  // namespace tern
