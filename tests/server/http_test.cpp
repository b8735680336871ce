// The server over real sockets with the tiny Llama: what OpenAI's clients send and what they must get back.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "server/router.h"
#include "server/running_server.h"
#include "text/utf8.h"

namespace tern {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::HttpClient;
using testing::HttpResponse;
using testing::RunningServer;
using testing::sse_payloads;

const std::string kChatPath = "/v1/chat/completions", kTextPath = "/v1/completions";

json chat(json more = json::object()) {
  json body = {{"model", "tiny"},
               {"messages", json::array({{{"role", "user"}, {"content", "the hour"}}})},
               {"max_tokens", 12},
               {"temperature", 0},
               {"ignore_eos", true}};
  body.update(more);
  return body;
}

json text(json more = json::object()) {
  json body = {{"prompt", "the hour"}, {"max_tokens", 12}, {"temperature", 0}, {"ignore_eos", true}};
  body.update(more);
  return body;
}

class Http : public ::testing::Test {
 protected:
  json ask(const std::string& path, const json& body, int status = 200) {
    const HttpResponse response = client_.post(path, body.dump());
    EXPECT_EQ(response.status, status) << response.body;
    EXPECT_EQ(response.headers.at("content-type"), "application/json");
    return json::parse(response.body);
  }
  // The error's code; checks its shape.
  std::string error_of(const std::string& path, const json& body, int status, const std::string& param = "") {
    const json error = ask(path, body, status).at("error");
    for (const char* key : {"message", "type", "param", "code"}) EXPECT_TRUE(error.contains(key)) << key;
    EXPECT_TRUE(param.empty() || error["param"] == param) << error;
    return error["code"].is_string() ? error["code"].get<std::string>() : "";
  }
  std::vector<json> stream(const std::string& path, json body) {
    body["stream"] = true;
    const HttpResponse response = client_.post(path, body.dump());
    EXPECT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(response.headers.at("content-type").substr(0, 17), "text/event-stream");
    std::vector<std::string> payloads = sse_payloads(response.body);
    EXPECT_FALSE(payloads.empty());
    if (payloads.empty()) return {};
    EXPECT_EQ(payloads.back(), "[DONE]");
    payloads.pop_back();
    std::vector<json> out;
    for (const std::string& payload : payloads) out.push_back(json::parse(payload));
    return out;
  }

  RunningServer server_;
  HttpClient client_{server_.port()};
};

TEST_F(Http, HealthAndModelsOnOneConnection) {
  EXPECT_EQ(client_.get("/health").status, 200);
  const HttpResponse models = client_.get("/v1/models?x=1", "X-Request-Id: mine-7\r\n");
  EXPECT_EQ(models.status, 200);
  EXPECT_EQ(models.headers.at("x-request-id"), "mine-7");
  EXPECT_EQ(models.headers.at("connection"), "keep-alive");
  const json body = json::parse(models.body);
  EXPECT_EQ(body["object"], "list");
  EXPECT_EQ(body["data"][0]["id"], "tiny");
  EXPECT_EQ(body["data"][1]["id"], "tiny-alias");
  const HttpResponse last = client_.get("/health", "Connection: close\r\n");
  EXPECT_EQ(last.headers.at("connection"), "close");
  EXPECT_TRUE(client_.closed());
}

TEST_F(Http, ChatWholeEqualsStreamed) {
  const json whole = ask(kChatPath, chat());
  EXPECT_EQ(whole["object"], "chat.completion");
  EXPECT_EQ(whole["model"], "tiny");
  EXPECT_EQ(whole["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(whole["usage"]["completion_tokens"], 12);
  EXPECT_EQ(whole["usage"]["total_tokens"], whole["usage"]["prompt_tokens"].get<int>() + 12);

  std::string content;
  json usage;
  for (const json& chunk : stream(kChatPath, chat({{"stream_options", {{"include_usage", true}}}}))) {
    EXPECT_EQ(chunk["object"], "chat.completion.chunk");
    if (chunk["choices"].empty()) {
      usage = chunk["usage"];
    } else {
      content += chunk["choices"][0]["delta"].value("content", "");
    }
  }
  EXPECT_EQ(content, whole["choices"][0]["message"]["content"]);
  EXPECT_EQ(usage["prompt_tokens_details"]["cached_tokens"], 16);  // a block, from the first time
  for (const char* count : {"prompt_tokens", "completion_tokens", "total_tokens"}) {
    EXPECT_EQ(usage[count], whole["usage"][count]) << count;
  }
}

TEST_F(Http, CompletionWholeEqualsStreamed) {
  const json whole = ask(kTextPath, text({{"model", "tiny-alias"}}));
  EXPECT_EQ(whole["model"], "tiny-alias");
  EXPECT_EQ(whole["object"], "text_completion");
  std::string streamed;
  for (const json& chunk : stream(kTextPath, text())) streamed += chunk["choices"][0]["text"];
  EXPECT_EQ(streamed, whole["choices"][0]["text"]);
  const auto ids = testing::tiny_model().tokenizer()->encode("the hour");
  EXPECT_EQ(ask(kTextPath, text({{"prompt", ids}}))["choices"], whole["choices"]);
}

TEST_F(Http, GoldenGreedyTokens) {
  // expected.json of the model: prompt p1 and its first greedy tokens.
  const json body = ask(kTextPath, {{"prompt", {133}}, {"max_tokens", 4}, {"temperature", 0}, {"ignore_eos", true}});
  const std::vector<int32_t> greedy{151, 151, 243, 230};
  EXPECT_EQ(body["choices"][0]["text"], replace_invalid_utf8(testing::tiny_model().tokenizer()->decode(greedy)));
  EXPECT_EQ(body["usage"]["prompt_tokens"], 1);
}

TEST_F(Http, StopStringsAreNotGivenOut) {
  const std::string full = ask(kTextPath, text({{"max_tokens", 40}}))["choices"][0]["text"];
  size_t at = full.size() / 2;
  while (at < full.size() && (full[at] & 0xc0) == 0x80) ++at;
  size_t end = std::min(at + 3, full.size());
  while (end < full.size() && (full[end] & 0xc0) == 0x80) ++end;
  const std::string stop = full.substr(at, end - at);
  ASSERT_FALSE(stop.empty());
  const json cut = ask(kTextPath, text({{"max_tokens", 40}, {"stop", stop}}));
  EXPECT_EQ(cut["choices"][0]["text"], full.substr(0, full.find(stop)));
  EXPECT_EQ(cut["choices"][0]["finish_reason"], "stop");
  std::string streamed;
  for (const json& chunk : stream(kTextPath, text({{"max_tokens", 40}, {"stop", {stop, "never"}}}))) {
    streamed += chunk["choices"][0]["text"];
  }
  EXPECT_EQ(streamed, full.substr(0, full.find(stop)));
  EXPECT_TRUE(server_.service().wait_idle(10s));
  EXPECT_EQ(server_.service().stats().kv_blocks_free, server_.service().stats().kv_blocks);
}

TEST_F(Http, SeveralChoices) {
  const json body = ask(kChatPath, chat({{"n", 3}, {"temperature", 1}, {"seed", 7}}));
  ASSERT_EQ(body["choices"].size(), 3u);
  EXPECT_NE(body["choices"][0]["message"], body["choices"][1]["message"]);
  EXPECT_EQ(ask(kChatPath, chat({{"n", 3}, {"temperature", 1}, {"seed", 7}}))["choices"], body["choices"]);
  EXPECT_EQ(ask(kChatPath, chat({{"temperature", 1}, {"seed", 7}}))["choices"][0], body["choices"][0]);
  EXPECT_EQ(body["usage"]["completion_tokens"], 36);

  const json prompts = ask(kTextPath, text({{"prompt", {"the hour", "over"}}, {"n", 2}}));
  ASSERT_EQ(prompts["choices"].size(), 4u);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(prompts["choices"][i]["index"], i);
  EXPECT_EQ(prompts["choices"][0]["text"], prompts["choices"][1]["text"]);
  EXPECT_EQ(prompts["choices"][0]["text"], ask(kTextPath, text())["choices"][0]["text"]);

  std::map<int, std::string> streamed;
  for (const json& chunk : stream(kTextPath, text({{"prompt", {"the hour", "over"}}}))) {
    streamed[chunk["choices"][0]["index"]] += chunk["choices"][0]["text"];
  }
  EXPECT_EQ(streamed[0], prompts["choices"][0]["text"]);
  EXPECT_EQ(streamed[1], prompts["choices"][2]["text"]);
}

TEST_F(Http, Logprobs) {
  const json chat_logprobs =
      ask(kChatPath, chat({{"logprobs", true}, {"top_logprobs", 3}}))["choices"][0]["logprobs"]["content"];
  ASSERT_LE(chat_logprobs.size(), 12u);
  for (const json& token : chat_logprobs) {
    ASSERT_EQ(token["top_logprobs"].size(), 3u);
    EXPECT_EQ(token["top_logprobs"][0]["logprob"], token["logprob"]);  // greedy
    EXPECT_LE(token["logprob"], 0);
  }
  const json text_logprobs = ask(kTextPath, text({{"logprobs", 2}}))["choices"][0]["logprobs"];
  EXPECT_EQ(text_logprobs["tokens"].size(), text_logprobs["text_offset"].size());
  EXPECT_EQ(text_logprobs["tokens"].size(), text_logprobs["token_logprobs"].size());
  size_t streamed = 0;
  for (const json& chunk : stream(kChatPath, chat({{"logprobs", true}}))) {
    if (!chunk["choices"][0]["logprobs"].is_null()) streamed += chunk["choices"][0]["logprobs"]["content"].size();
  }
  EXPECT_EQ(streamed, chat_logprobs.size());
}

TEST_F(Http, LogitBias) {
  const json plain = ask(kTextPath, text({{"max_tokens", 1}, {"logprobs", 0}}));
  const json forced = ask(kTextPath, text({{"max_tokens", 3}, {"logit_bias", {{"65", 100}}}}));
  EXPECT_EQ(forced["choices"][0]["text"], testing::tiny_model().tokenizer()->decode(std::vector<int32_t>{65, 65, 65}));
  EXPECT_EQ(plain["usage"]["completion_tokens"], 1);
}

TEST_F(Http, Refusals) {
  EXPECT_EQ(error_of(kChatPath, chat({{"model", "gpt"}}), 404, "model"), "model_not_found");
  error_of(kChatPath, chat({{"temperature", -1}}), 400, "temperature");
  error_of(kChatPath, chat({{"logit_bias", {{"320", 1}}}}), 400, "logit_bias");
  error_of(kTextPath, text({{"prompt", {320}}}), 400, "prompt");
  error_of(kTextPath, text({{"prompt", json::array()}}), 400, "prompt");
  error_of(kTextPath, text({{"prompt", ""}}), 400, "prompt");
  const std::vector<int32_t> long_prompt(600, 65);
  EXPECT_EQ(error_of(kTextPath, text({{"prompt", long_prompt}}), 400, "prompt"), "context_length_exceeded");
  const json error = ask(kTextPath, text({{"prompt", long_prompt}}), 400)["error"];
  EXPECT_NE(error["message"].get<std::string>().find("600"), std::string::npos);
  EXPECT_NE(error["message"].get<std::string>().find("512"), std::string::npos);
  EXPECT_EQ(json::parse(client_.post(kChatPath, "{nonsense").body)["error"]["code"], "invalid_json");
  EXPECT_EQ(ask(kTextPath, text())["choices"].size(), 1u);  // and the connection still serves
}

TEST_F(Http, RoutesAndMethods) {
  EXPECT_EQ(client_.get("/nowhere").status, 404);
  EXPECT_EQ(client_.get(kChatPath).status, 405);
  EXPECT_EQ(client_.get("/health").status, 200);  // nothing unread: the connection lives
  EXPECT_EQ(client_.post("/health", "{}").status, 405);
  for (const Route& route : routes()) EXPECT_FALSE(route.meaning.empty());
}

TEST_F(Http, BodyOfAGetIsNotTheNextRequest) {
  const std::string hidden = "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n";
  client_.send("GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(hidden.size()) + "\r\n\r\n" +
               hidden);
  EXPECT_EQ(client_.read().status, 200);
  EXPECT_EQ(client_.get("/v1/models").status, 200);
}

TEST_F(Http, PipelinedRequestsAreAnsweredInOrder) {
  const std::string body = text().dump();
  client_.start_post(kTextPath, body);
  client_.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(client_.read().status, 200);
  const HttpResponse health = client_.read();
  EXPECT_EQ(health.status, 200);
  EXPECT_EQ(health.body, R"({"status":"ok"})");
}

TEST_F(Http, ChunkedBodiesAndExpect) {
  const std::string body = text().dump();
  char size[16];
  std::snprintf(size, sizeof size, "%zx", body.size());
  client_.send("POST " + kTextPath +
               " HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(client_.read_head().status, 100);
  client_.send(std::string(size) + "\r\n" + body + "\r\n0\r\n\r\n");
  EXPECT_EQ(client_.read().status, 200);
}

TEST_F(Http, OldHttpStreamsUntilTheEnd) {
  const std::string body = text({{"stream", true}}).dump();
  client_.send("POST " + kTextPath + " HTTP/1.0\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  const HttpResponse response = client_.read();
  EXPECT_EQ(response.status, 200);
  EXPECT_FALSE(response.headers.contains("transfer-encoding"));
  EXPECT_EQ(sse_payloads(response.body).back(), "[DONE]");
}

TEST(HttpKey, EveryRouteButTheOpenOnesAsksForIt) {
  RunningServer server(ServerOptions{.api_keys = ApiKeys("secret,other")});
  for (const Route& route : routes()) {
    for (const std::string header : {"", "Authorization: Bearer wrong!\r\n", "Authorization: secret\r\n",
                                     "Authorization: Bearer secret,other\r\n", "x-api-key: secre\r\n"}) {
      HttpClient client(server.port());
      client.send(std::string(route.method) + " " + std::string(route.path) + " HTTP/1.1\r\nHost: x\r\n" + header +
                  "Content-Length: 0\r\n\r\n");
      const HttpResponse response = client.read();
      EXPECT_EQ(response.status, route.open ? 200 : 401) << route.path;
      EXPECT_EQ(route.open, route.path == "/health") << route.path;
      if (!route.open) {
        EXPECT_EQ(json::parse(response.body)["error"]["code"], "invalid_api_key");
      }
    }
  }
  HttpClient client(server.port());
  EXPECT_EQ(client.get("/nowhere").status, 401);
  HttpClient good(server.port());
  EXPECT_EQ(good.get("/v1/models", "Authorization: Bearer secret\r\n").status, 200);
  EXPECT_EQ(good.get("/v1/models", "X-Api-Key: other\r\n").status, 200);
  EXPECT_EQ(good.get("/metrics", "x-api-key: other\r\n").status, 200);
}

}  // namespace
}  // namespace tern
