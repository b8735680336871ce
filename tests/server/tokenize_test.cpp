// The small routes: tokens and back, models by name, version, load, and what HEAD and OPTIONS get.
#include "server/tokenize.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "server/running_server.h"

namespace tern {
namespace {

using nlohmann::json;
using testing::HttpClient;
using testing::HttpResponse;
using testing::RunningServer;
using testing::tiny_model;

class SmallRoutes : public ::testing::Test {
 protected:
  json post(const std::string& path, const json& body, int status = 200) {
    const HttpResponse response = client_.post(path, body.dump());
    EXPECT_EQ(response.status, status) << response.body;
    return json::parse(response.body);
  }
  HttpResponse send(const std::string& method, const std::string& path) {
    client_.send(method + " " + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
    return method == "HEAD" ? client_.read_head() : client_.read();
  }

  RunningServer server_;
  HttpClient client_{server_.port()};
};

TEST_F(SmallRoutes, TextToTokensAndBack) {
  const std::string text = "the hour \xc3\xa9\xf0\x9f\x98\x80 \n";
  const json tokens = post("/tokenize", {{"model", "tiny"}, {"prompt", text}});
  EXPECT_EQ(tokens["tokens"].get<std::vector<int32_t>>(), tiny_model().tokenizer()->encode(text));
  EXPECT_EQ(tokens["count"], tokens["tokens"].size());
  EXPECT_EQ(tokens["max_model_len"], server_.service().context_tokens());
  EXPECT_FALSE(tokens.contains("token_strs"));
  EXPECT_EQ(post("/detokenize", {{"tokens", tokens["tokens"]}}), (json{{"prompt", text}}));
  EXPECT_EQ(post("/detokenize", {{"tokens", json::array()}}), (json{{"prompt", ""}}));
}

TEST_F(SmallRoutes, StringsOfTokensAreTheVocabularys) {
  const json tokens = post("/tokenize", {{"prompt", "the hour"}, {"return_token_strs", true}});
  ASSERT_EQ(tokens["token_strs"].size(), tokens["tokens"].size());
  for (size_t i = 0; i < tokens["tokens"].size(); ++i) {
    EXPECT_EQ(tokens["token_strs"][i], tiny_model().tokenizer()->piece(tokens["tokens"][i]));
  }
}

TEST_F(SmallRoutes, AConversationAsTheModelReadsIt) {
  const json messages = json::array({{{"role", "user"}, {"content", "the hour"}}});
  const json chat = {{"messages", messages}, {"max_tokens", 1}};
  const json tokens = post("/tokenize", {{"messages", messages}});
  EXPECT_EQ(tokens["count"], post("/v1/chat/completions", chat)["usage"]["prompt_tokens"]);
  const json without = post("/tokenize", {{"messages", messages}, {"add_generation_prompt", false}});
  EXPECT_LT(without["count"], tokens["count"]);
  json silent = chat;
  silent["add_generation_prompt"] = false;
  EXPECT_EQ(without["count"], post("/v1/chat/completions", silent)["usage"]["prompt_tokens"]);
  EXPECT_EQ(tokens["tokens"].front(), *tiny_model().tokenizer()->find("<|im_start|>"));
}

TEST_F(SmallRoutes, TokenizeRefusals) {
  EXPECT_EQ(post("/tokenize", json::object(), 400)["error"]["code"], "missing_field");
  const json both = {{"prompt", "a"}, {"messages", json::array({{{"role", "user"}, {"content", "a"}}})}};
  EXPECT_EQ(post("/tokenize", both, 400)["error"]["code"], "conflicting_fields");
  EXPECT_EQ(post("/tokenize", {{"prompt", {1, 2}}}, 400)["error"]["param"], "prompt");
  EXPECT_EQ(post("/tokenize", {{"prompt", "a"}, {"model", "gpt"}}, 404)["error"]["code"], "model_not_found");
  EXPECT_EQ(post("/detokenize", json::object(), 400)["error"]["param"], "tokens");
  EXPECT_EQ(post("/detokenize", {{"tokens", {320}}}, 400)["error"]["code"], "token_out_of_vocabulary");
  EXPECT_EQ(post("/detokenize", {{"tokens", {-1}}}, 400)["error"]["param"], "tokens");
}

TEST_F(SmallRoutes, ModelsByName) {
  const json one = json::parse(client_.get("/v1/models/tiny-alias").body);
  EXPECT_EQ(one["id"], "tiny-alias");
  EXPECT_EQ(one["max_model_len"], server_.service().context_tokens());
  EXPECT_EQ(one, json::parse(client_.get("/v1/models").body)["data"][1]);
  EXPECT_EQ(json::parse(client_.get("/v1/models/t%69ny").body)["id"], "tiny");
  for (const char* path : {"/v1/models/none", "/v1/models/tiny/", "/v1/models/%", "/v1/models/%zz", "/v1/models/a/b"}) {
    const HttpResponse response = client_.get(path);
    EXPECT_EQ(response.status, 404) << path;
    EXPECT_EQ(json::parse(response.body)["error"]["code"], "model_not_found") << path;
  }
  EXPECT_EQ(json::parse(client_.get("/v1/models/").body)["error"]["code"], "unknown_route");
}

TEST_F(SmallRoutes, VersionAndLoad) {
  EXPECT_TRUE(json::parse(client_.get("/version").body)["version"].is_string());
  EXPECT_EQ(client_.get("/load").body, R"({"server_load":0})");
  EXPECT_EQ(client_.get("/ping").status, 200);
}

TEST_F(SmallRoutes, HeadHasTheLengthAndNoBody) {
  const std::string length = std::to_string(client_.get("/v1/models").body.size());
  const HttpResponse head = send("HEAD", "/v1/models");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-length"), length);
  EXPECT_EQ(send("HEAD", "/nowhere").status, 404);
  EXPECT_EQ(send("HEAD", "/tokenize").status, 405);
  EXPECT_EQ(client_.get("/ping").status, 200);  // no byte too many: the connection is in step
}

TEST_F(SmallRoutes, OptionsAndTheHeaderAllow) {
  const HttpResponse options = send("OPTIONS", "/v1/completions");
  EXPECT_EQ(options.status, 200);
  EXPECT_EQ(options.headers.at("allow"), "POST, OPTIONS");
  EXPECT_EQ(send("OPTIONS", "/v1/models/tiny").headers.at("allow"), "GET, HEAD, OPTIONS");
  EXPECT_EQ(send("OPTIONS", "/nowhere").status, 404);
  for (const char* method : {"DELETE", "PUT", "PATCH", "TRACE", "BREW"}) {
    const HttpResponse response = send(method, "/v1/models");
    EXPECT_EQ(response.status, 405) << method;
    EXPECT_EQ(response.headers.at("allow"), "GET, HEAD, OPTIONS");
  }
}

TEST(Load, CountsWhatRuns) {
  testing::Gate gate;
  testing::FakeDevice device;
  device.gate = &gate;
  RunningServer server(device, {});
  HttpClient asking(server.port()), watching(server.port());
  asking.start_post("/v1/completions", R"({"prompt":"a","max_tokens":3,"n":2,"ignore_eos":true})");
  std::string body;
  for (int i = 0; i < 2'000 && body != R"({"server_load":2})"; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    body = watching.get("/load").body;
  }
  EXPECT_EQ(body, R"({"server_load":2})");
  gate.open();
  EXPECT_EQ(asking.read().status, 200);
}

}  // namespace
}  // namespace tern
