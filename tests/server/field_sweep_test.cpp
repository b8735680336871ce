// Every request field of every route with every boundary value, over real sockets and beside a canary request: only
// 200, or a 4xx that names the field and nothing of tern's inside; the canary's answer stays the same to the last bit.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>

#include "server/api_error.h"
#include "server/request_fields.h"
#include "server/running_server.h"

namespace tern {
namespace {

using nlohmann::json;
using testing::HttpClient;
using testing::HttpResponse;
using testing::RunningServer;

constexpr std::array kEndpoints{std::pair{kChat, "/v1/chat/completions"}, std::pair{kCompletions, "/v1/completions"},
                                std::pair{kTokenize, "/tokenize"}, std::pair{kDetokenize, "/detokenize"}};

std::string base(Endpoints endpoint) {
  if (endpoint == kChat) return R"({"messages":[{"role":"user","content":"Hi"}],"max_tokens":1)";
  if (endpoint == kCompletions) return R"({"prompt":"Hi","max_tokens":1)";
  return endpoint == kTokenize ? R"({"prompt":"Hi")" : R"({"tokens":[72])";
}

// As text, because some are no JSON or no double.
std::vector<std::string> boundary_values(const RequestField& field) {
  std::vector<std::string> values{"-1",
                                  "0",
                                  "1",
                                  "2",
                                  "-0.0",
                                  "0.5",
                                  "2.0",
                                  "1e-320",
                                  "2147483647",
                                  "2147483648",
                                  "-2147483649",
                                  "9007199254740992",
                                  "9223372036854775807",
                                  "9223372036854775808",
                                  "18446744073709551615",
                                  "18446744073709551616",
                                  "-9223372036854775809",
                                  "1e308",
                                  "-1e308",
                                  "1e999",
                                  "NaN",
                                  "Infinity",
                                  "null",
                                  "true",
                                  "false",
                                  "[]",
                                  "{}",
                                  "[[]]",
                                  "[null]",
                                  "[{}]",
                                  "[-1]",
                                  "[4294967296]",
                                  "[1.5]",
                                  R"([""])",
                                  R"({"":null})",
                                  R"({"a":{"b":[]}})",
                                  R"({"-1":1})",
                                  R"({"0":1e308})",
                                  R"({"99999999":1})",
                                  R"("")",
                                  R"("1")",
                                  R"("null")",
                                  R"("NaN")",
                                  R"("a\u0000b")",
                                  R"("\ud800")",
                                  R"("\udc00x")",
                                  R"("\ud83d\ude00")",
                                  "\"\xff\"",
                                  "\"\xc0\xaf\"",
                                  "'a'"};
  values.push_back(std::string(40, '[') + std::string(40, ']'));
  values.push_back(std::string(100'000, '['));
  values.push_back(std::string(200, '{'));
  values.push_back("\"" + std::string(1 << 20, 'a') + "\"");
  std::string many = "[0";
  for (int i = 0; i < 5'000; ++i) many += ",1";
  values.push_back(many + "]");
  const bool whole = field.type == FieldType::kInteger;
  if (!whole && field.type != FieldType::kNumber) return values;
  if (std::abs(field.max) > 1e15) return values;
  for (const double bound : {field.min, field.max}) {
    for (const double step : {-1.0, 0.0, 1.0}) {
      values.push_back(whole ? std::to_string(static_cast<int64_t>(bound + step)) : json(bound + step).dump());
    }
  }
  return values;
}

// Error bodies have OpenAI's shape and a code of the table, and tell nothing about the inside.
void expect_good_error(const HttpResponse& response) {
  const json body = json::parse(response.body, nullptr, false);
  ASSERT_TRUE(body.is_object() && body.contains("error")) << response.body;
  const json& error = body["error"];
  ASSERT_EQ(error.size(), 4u) << error;
  for (const char* key : {"message", "type", "code"}) ASSERT_TRUE(error.at(key).is_string()) << error;
  ASSERT_TRUE(error.at("param").is_string() || error.at("param").is_null()) << error;
  bool known = false;
  for (const ErrorCodeRow& row : error_codes()) known |= row.code == error["code"] && row.status == response.status;
  EXPECT_TRUE(known) << response.status << " " << error;
  const std::string message = error["message"];
  EXPECT_FALSE(message.empty());
  EXPECT_LT(message.size(), 600u);
  for (const char* inside :
       {"0x", "tern::", "std::", ".cpp", ".h:", "nlohmann", "json.exception", "/models/", "gguf"}) {
    EXPECT_EQ(message.find(inside), std::string::npos) << message;
  }
  EXPECT_NE(message.front(), '[') << message;  // "[engine] ..."
}

// One request, over and over, while others misbehave.
class Canary {
 public:
  explicit Canary(uint16_t port) : port_(port), expected_(ask()), thread_([this] { watch(); }) {}
  ~Canary() {
    stop_ = true;
    thread_.join();
    EXPECT_GE(answers_, 10);
    EXPECT_EQ(different_, 0);
  }

 private:
  json ask() const {
    HttpClient client(port_);
    const json body = {{"prompt", "the hour"}, {"max_tokens", 16}, {"seed", 11}, {"logprobs", 3}, {"ignore_eos", true}};
    const HttpResponse response = client.post("/v1/completions", body.dump());
    return response.status == 200 ? json::parse(response.body)["choices"] : json(response.status);
  }
  void watch() {
    while (!stop_) {
      different_ += ask() != expected_ ? 1 : 0;
      ++answers_;
    }
  }

  uint16_t port_;
  json expected_;
  std::atomic<bool> stop_ = false;
  int answers_ = 0, different_ = 0;
  std::thread thread_;
};

TEST(FieldSweep, EveryFieldEveryBoundaryBesideACanary) {
  RunningServer server;
  Canary canary(server.port());
  HttpClient client(server.port());
  int accepted = 0, refused = 0;
  for (const auto& [endpoint, path] : kEndpoints) {
    for (const RequestField& field : request_fields()) {
      if ((field.endpoints & endpoint) == 0) continue;
      for (const std::string& value : boundary_values(field)) {
        const std::string body = base(endpoint) + ",\"" + std::string(field.name) + "\":" + value + "}";
        const HttpResponse response = client.post(path, body);
        const auto what = [&] { return std::string(path) + " " + body.substr(0, 200) + " -> " + response.body; };
        if (response.status == 200) {
          ++accepted;
          continue;
        }
        ++refused;
        ASSERT_TRUE(response.status == 400 || (response.status == 404 && field.name == "model")) << what();
        expect_good_error(response);
        const json error = json::parse(response.body)["error"];
        if (error["code"] == "invalid_json") continue;
        ASSERT_TRUE(error["param"].is_string()) << what();
        EXPECT_EQ(error["param"].get<std::string>().substr(0, field.name.size()), field.name) << what();
        EXPECT_NE(error["message"].get<std::string>().find(error["param"]), std::string::npos) << what();
      }
    }
  }
  EXPECT_GT(accepted, 400);
  EXPECT_GT(refused, 2'000);
}

// Where two parsers read the same body, they must agree on it.
TEST(FieldSweep, EqualKeysTheLastCounts) {
  RunningServer server;
  HttpClient client(server.port());
  const std::string good = R"([{"role":"user","content":"Hi"}])";
  EXPECT_EQ(client.post("/v1/chat/completions", R"({"messages":1,"max_tokens":1,"messages":)" + good + "}").status,
            200);
  EXPECT_EQ(client.post("/v1/chat/completions", R"({"messages":)" + good + R"(,"messages":1})").status, 400);
  EXPECT_EQ(client.post("/v1/chat/completions", R"({"messages":)" + good + R"(,"mess\u0061ges":{"a":1}})").status, 400);
  const std::string tools =
      R"(,"max_tokens":1,"tools":[{}],"tools":null,"chat_template_kwargs":{},"chat_template_kwargs":null})";
  EXPECT_EQ(client.post("/v1/chat/completions", R"({"messages":)" + good + tools).status, 200);
}

// How deep a body may nest does not depend on where.
TEST(FieldSweep, DepthIsTheSameEverywhere) {
  RunningServer server;
  HttpClient client(server.port());
  const auto nested = [](uint64_t levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  const auto bodies = [&](uint64_t levels) {
    return std::vector<std::pair<std::string, std::string>>{
        {"/v1/completions", R"({"prompt":"a","max_tokens":1,"x":)" + nested(levels - 1) + "}"},
        {"/v1/chat/completions",
         R"({"max_tokens":1,"messages":[{"role":"user","content":"a","x":)" + nested(levels - 3) + "}]}"},
        {"/v1/chat/completions",
         R"({"max_tokens":1,"messages":[{"role":"user","content":"a"}],"tools":[{"x":)" + nested(levels - 3) + "}]}"},
        {"/v1/chat/completions", R"({"max_tokens":1,"messages":[{"role":"user","content":"a"}],"chat_template_kwargs":)"
                                 R"({"x":)" +
                                     nested(levels - 2) + "}}"}};
  };
  for (const auto& [path, body] : bodies(Limits::kBodyDepth)) EXPECT_EQ(client.post(path, body).status, 200) << body;
  for (const auto& [path, body] : bodies(Limits::kBodyDepth + 1)) {
    const HttpResponse response = client.post(path, body);
    EXPECT_EQ(response.status, 400) << body;
    EXPECT_EQ(json::parse(response.body)["error"]["code"], "invalid_json");
  }
}

}  // namespace
}  // namespace tern
