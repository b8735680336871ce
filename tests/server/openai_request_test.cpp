// The table of request fields: what is out of range or of another type is refused by name, and nothing else.
#include "server/openai_request.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "server/api_error.h"

namespace tern {
namespace {

using nlohmann::json;

json base(Endpoints endpoint) {
  if (endpoint == kChat) return {{"messages", json::array({{{"role", "user"}, {"content", "Hi"}}})}};
  return {{"prompt", "Hi"}};
}

OpenAiRequest parse(const json& body, Endpoints endpoint = kChat) {
  return parse_openai_request(body.dump(), endpoint);
}

// The name of the field that is refused, "" when all is well.
std::string refused(const json& body, Endpoints endpoint = kChat) {
  try {
    parse(body, endpoint);
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(), 400);
    EXPECT_NE(std::string(error.what()), "");
    if (!error.param().empty()) {
      EXPECT_NE(std::string(error.what()).find(error.param()), std::string::npos) << error.what();
    }
    return error.param().empty() ? "(body)" : error.param();
  }
  return "";
}

json with(Endpoints endpoint, std::string_view field, json value) {
  json body = base(endpoint);
  if (field == "top_logprobs") body["logprobs"] = true;
  if (field == "stream_options") body["stream"] = true;
  if (field == "best_of" && value.is_number_integer() && value >= 1 && value <= 16) body["n"] = value;
  body[std::string(field)] = std::move(value);
  return body;
}

TEST(RequestFields, BoundariesOfEveryNumber) {
  int checked = 0;
  for (const RequestField& field : request_fields()) {
    if (field.type != FieldType::kInteger && field.type != FieldType::kNumber) continue;
    for (const Endpoints endpoint : {kChat, kCompletions}) {
      if ((field.endpoints & endpoint) == 0 || field.name == "seed") continue;
      const bool whole = field.type == FieldType::kInteger;
      const auto value = [&](double v) { return whole ? json(static_cast<int64_t>(v)) : json(v); };
      const double beyond = whole ? 1 : 0.005;
      EXPECT_EQ(refused(with(endpoint, field.name, value(field.min)), endpoint), "") << field.name;
      EXPECT_EQ(refused(with(endpoint, field.name, value(field.max)), endpoint), "") << field.name;
      EXPECT_EQ(refused(with(endpoint, field.name, value(field.min - beyond)), endpoint), field.name);
      EXPECT_EQ(refused(with(endpoint, field.name, value(field.max + beyond)), endpoint), field.name);
      if (whole) {
        EXPECT_EQ(refused(with(endpoint, field.name, 1.5), endpoint), field.name);
      }
      ++checked;
    }
  }
  EXPECT_GE(checked, 20);
}

// Every field with every awkward value: accepted, or a 400 that names it.
TEST(RequestFields, AwkwardValuesNameTheField) {
  const json awkward[] = {-1,
                          0,
                          1,
                          2147483647,
                          2147483648,
                          9007199254740992,
                          9223372036854775807,
                          18446744073709551615u,
                          0.5,
                          -0.1,
                          1e308,
                          "1",
                          "",
                          nullptr,
                          true,
                          json::array(),
                          json::object(),
                          json::array({nullptr}),
                          json::array({json::array()}),
                          {{"type", 1}},
                          {{"a", "b"}}};
  for (const RequestField& field : request_fields()) {
    for (const Endpoints endpoint : {kChat, kCompletions}) {
      if ((field.endpoints & endpoint) == 0) continue;
      for (const json& value : awkward) {
        const std::string param = refused(with(endpoint, field.name, value), endpoint);
        if (param.empty()) continue;
        EXPECT_EQ(param.substr(0, field.name.size()), field.name) << value;
      }
    }
  }
}

// What a client of another language writes for a whole number.
TEST(RequestFields, WholeNumbersAsDoubles) {
  EXPECT_EQ(parse(with(kChat, "max_tokens", 5.0)).params.max_tokens, 5);
  EXPECT_EQ(parse(with(kChat, "n", 2.0)).n, 2u);
  EXPECT_EQ(parse(with(kCompletions, "prompt", json::array({3.0})), kCompletions).prompts.size(), 1u);
  EXPECT_EQ(refused(with(kChat, "n", 2.5)), "n");
  EXPECT_EQ(refused(with(kChat, "seed", 1e18)), "seed");  // which of the integers near it?
}

TEST(RequestFields, TokenizeAndDetokenize) {
  const auto parsed = [](const json& body, Endpoints endpoint) { return parse_openai_request(body.dump(), endpoint); };
  const OpenAiRequest text =
      parsed({{"prompt", "a"}, {"add_special_tokens", false}, {"return_token_strs", true}}, kTokenize);
  EXPECT_EQ(text.add_special_tokens, false);
  EXPECT_TRUE(text.return_token_strs && !text.has_messages);
  EXPECT_TRUE(parsed({{"messages", {{{"role", "user"}}}}}, kTokenize).has_messages);
  EXPECT_EQ(parsed({{"tokens", {1, 2}}}, kDetokenize).tokens, (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(refused(json::object(), kTokenize), "prompt");
  EXPECT_EQ(refused({{"prompt", "a"}, {"messages", {{{"role", "user"}}}}}, kTokenize), "messages");
  EXPECT_EQ(refused({{"tokens", "a"}}, kDetokenize), "tokens");
  EXPECT_EQ(parsed({{"tokens", {1}}, {"temperature", "hot"}}, kDetokenize).unknown_fields.size(), 1u);
}

TEST(RequestFields, WrongTypes) {
  for (const char* field : {"temperature",
                            "top_p",
                            "top_k",
                            "min_p",
                            "presence_penalty",
                            "frequency_penalty",
                            "repetition_penalty",
                            "seed",
                            "max_tokens",
                            "max_completion_tokens",
                            "n",
                            "stream",
                            "logprobs",
                            "logit_bias",
                            "model",
                            "ignore_eos",
                            "user",
                            "tools",
                            "stop",
                            "messages"}) {
    EXPECT_EQ(refused(with(kChat, field, {{"x", json::array()}})).substr(0, 4), std::string(field).substr(0, 4))
        << field;
    if (std::string_view(field) != "messages") {
      EXPECT_EQ(refused(with(kChat, field, nullptr)), "") << field;
    }
  }
  EXPECT_EQ(refused(with(kChat, "stream", 1)), "stream");
  EXPECT_EQ(refused(with(kChat, "temperature", true)), "temperature");
  EXPECT_EQ(refused(with(kChat, "n", "1")), "n");
}

TEST(RequestFields, RequiredOnes) {
  EXPECT_EQ(refused(json::object(), kChat), "messages");
  EXPECT_EQ(refused({{"messages", nullptr}}, kChat), "messages");
  EXPECT_EQ(refused({{"messages", json::array()}}, kChat), "messages");
  EXPECT_EQ(refused(json::object(), kCompletions), "prompt");
}

TEST(RequestFields, Values) {
  json body = base(kChat);
  body.update({{"model", "m"},
               {"temperature", 0.5},
               {"top_k", -1},
               {"seed", -1},
               {"max_tokens", 5},
               {"max_completion_tokens", 7},
               {"stop", "END"},
               {"n", 3},
               {"logprobs", true},
               {"top_logprobs", 4},
               {"stream", true},
               {"ignore_eos", true},
               {"stream_options", {{"include_usage", true}, {"continuous_usage_stats", true}}},
               {"stop_token_ids", {5, 9.0}},
               {"priority", -7},
               {"timeout", 1.5},
               {"cache_salt", std::string("s\0t", 3)},
               {"user", "u"},
               {"metadata", {{"a", {1, 2}}}},
               {"min_tokens", 0},
               {"add_generation_prompt", false},
               {"logit_bias", {{"12", -100}, {"7", 1.5}}},
               {"frobnicate", 1}});
  const OpenAiRequest request = parse(body);
  EXPECT_EQ(request.model, "m");
  EXPECT_EQ(request.params.sampling.temperature, 0.5f);
  EXPECT_EQ(request.params.sampling.top_k, 0);
  EXPECT_EQ(request.seed, ~uint64_t{0});
  EXPECT_EQ(request.params.max_tokens, 7);
  EXPECT_EQ(request.params.stop, std::vector<std::string>{"END"});
  EXPECT_EQ(request.n, 3u);
  EXPECT_TRUE(request.logprobs && request.stream && request.include_usage && request.params.ignore_eos);
  EXPECT_TRUE(request.continuous_usage);
  EXPECT_EQ(request.params.stop_tokens, (std::vector<int32_t>{5, 9}));
  EXPECT_EQ(request.params.scheduling.priority, -7);
  EXPECT_EQ(request.params.scheduling.cache_salt, std::string("s\0t", 3));
  EXPECT_EQ(request.timeout_s, 1.5);
  EXPECT_EQ(request.user, "u");
  EXPECT_FALSE(request.add_generation_prompt);
  EXPECT_EQ(request.params.logprobs, 4);
  EXPECT_EQ(request.params.sampling.logit_bias.size(), 2u);
  EXPECT_EQ(request.unknown_fields, std::vector<std::string>{"frobnicate"});

  const OpenAiRequest plain = parse(base(kChat));
  EXPECT_EQ(plain.params.sampling.temperature, 1.0f);
  EXPECT_FALSE(plain.seed);
  EXPECT_EQ(plain.params.logprobs, -1);
  EXPECT_EQ(parse(with(kChat, "logprobs", true)).params.logprobs, 0);
  EXPECT_EQ(parse(with(kCompletions, "logprobs", 2), kCompletions).params.logprobs, 2);
  EXPECT_EQ(parse(with(kChat, "temperature", 1e-30)).params.sampling.temperature, 0.0f);
  EXPECT_EQ(parse(with(kChat, "seed", 18446744073709551615u)).seed, 18446744073709551615u);
}

TEST(RequestFields, FieldsThatNeedOthers) {
  json body = base(kChat);
  body["top_logprobs"] = 2;
  EXPECT_EQ(refused(body), "top_logprobs");
  body["top_logprobs"] = 0;
  EXPECT_EQ(refused(body), "");
  body = base(kChat);
  body["stream_options"] = {{"include_usage", false}};
  EXPECT_EQ(refused(body), "");
  body["stream_options"] = {{"include_usage", true}};
  EXPECT_EQ(refused(body), "stream_options");
  body["stream"] = true;
  body["stream_options"]["include_usage"] = 1;
  EXPECT_EQ(refused(body), "stream_options.include_usage");
}

TEST(RequestFields, WhatCannotBeDoneIsRefusedAndNotIgnored) {
  EXPECT_EQ(refused(with(kCompletions, "echo", true), kCompletions), "echo");
  EXPECT_EQ(refused(with(kCompletions, "echo", false), kCompletions), "");
  EXPECT_EQ(refused(with(kCompletions, "suffix", "x"), kCompletions), "suffix");
  EXPECT_EQ(refused(with(kChat, "response_format", {{"type", "json_object"}})), "response_format");
  EXPECT_EQ(refused(with(kChat, "response_format", {{"type", "text"}})), "");
  EXPECT_EQ(refused(with(kChat, "tool_choice", "required")), "tool_choice");
  EXPECT_EQ(refused(with(kChat, "min_tokens", 1)), "min_tokens");
  json body = base(kCompletions);
  body["best_of"] = 3;
  EXPECT_EQ(refused(body, kCompletions), "best_of");
}

TEST(RequestFields, Prompts) {
  const auto prompts = [](json value) {
    return parse(with(kCompletions, "prompt", std::move(value)), kCompletions).prompts;
  };
  EXPECT_EQ(std::get<std::string>(prompts("abc").at(0)), "abc");
  EXPECT_EQ(std::get<std::vector<int32_t>>(prompts({1, 2, 3}).at(0)), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(prompts({"a", "b"}).size(), 2u);
  EXPECT_EQ(std::get<std::vector<int32_t>>(prompts(json::array({json::array({1}), json::array({2, 3})})).at(1)),
            (std::vector<int32_t>{2, 3}));
  for (const json& bad :
       {json::array(), json::array({1, "a"}), json::array({"a", 1}), json(1), json::array({-1}), json::array({1.5}),
        json::array({4'194'304}), json::array({nullptr}), json::array({json::array({"a"})}), json(json::object())}) {
    EXPECT_EQ(refused(with(kCompletions, "prompt", bad), kCompletions), "prompt") << bad;
  }
  json many = with(kCompletions, "prompt", json(std::vector<std::string>(Limits::kChoices, "a")));
  EXPECT_EQ(refused(many, kCompletions), "");
  many["n"] = 2;
  EXPECT_EQ(refused(many, kCompletions), "n");
}

TEST(RequestFields, Stops) {
  EXPECT_EQ(refused(with(kChat, "stop", "")), "stop");
  EXPECT_EQ(refused(with(kChat, "stop", std::string(1025, 'a'))), "stop");
  EXPECT_EQ(refused(with(kChat, "stop", json(std::vector<std::string>(16, "a")))), "");
  EXPECT_EQ(refused(with(kChat, "stop", json(std::vector<std::string>(17, "a")))), "stop");
  EXPECT_EQ(refused(with(kChat, "stop", json::array({"a", 1}))), "stop");
  std::string wide;
  for (int i = 0; i < 1024; ++i) wide += "\xf0\x9f\x98\x80";
  EXPECT_EQ(refused(with(kChat, "stop", wide)), "");  // characters, not bytes
  EXPECT_LE(wide.size(), Limits::kStopStringBytes);
  EXPECT_EQ(refused(with(kChat, "stop", wide + "a")), "stop");
  EXPECT_EQ(refused(with(kChat, "stop_token_ids", json(std::vector<int>(128, 1)))), "");
  EXPECT_EQ(refused(with(kChat, "stop_token_ids", json(std::vector<int>(129, 1)))), "stop_token_ids");
  EXPECT_EQ(refused(with(kChat, "stop_token_ids", {1.5})), "stop_token_ids");
}

TEST(RequestFields, LogitBias) {
  for (const json& bad : {json{{"a", 1}}, json{{"-1", 1}}, json{{"1x", 1}}, json{{"", 1}}, json{{"99999999999", 1}},
                          json{{"01", 1}}, json{{"1", 101}}, json{{"1", "2"}}, json{{"1", nullptr}}}) {
    EXPECT_EQ(refused(with(kChat, "logit_bias", bad)), "logit_bias") << bad;
  }
}

std::string refused_text(std::string_view body) {
  try {
    parse_openai_request(body, kCompletions);
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(), 400);
    EXPECT_EQ(error.code(), "invalid_json");
    return error.what();
  }
  return "";
}

TEST(RequestBody, NotJson) {
  for (const std::string_view body :
       {"", "{", "nonsense", "[]", "1", "null", "{\"prompt\":\"a\"} x", "{\"prompt\":\"\xff\"}",
        "{\"prompt\":\"\\ud800\"}", "{\"prompt\":1e999}", "{'prompt':1}"}) {
    EXPECT_NE(refused_text(body), "") << body;
  }
  EXPECT_NE(refused_text("{\"prompt\":" + std::string(70, '[') + std::string(70, ']') + "}").find("63"),
            std::string::npos);
  EXPECT_NE(refused_text("{\"prompt\":" + std::string(1'000'000, '[')), "");
  std::string many = "{\"x\":[0";
  for (int i = 0; i < 1'100'000; ++i) many += ",0";
  EXPECT_NE(refused_text(many + "]}"), "");
}

}  // namespace
}  // namespace tern
