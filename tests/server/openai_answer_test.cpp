// Events as OpenAI's clients want to read them, whole and streamed.
#include "server/openai_answer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "server/api_error.h"
#include "server/http_client.h"
#include "server/http_wire.h"
#include "server/running_server.h"
#include "server/sse.h"

namespace tern {
namespace {

using nlohmann::json;

TextEvent event(std::string text, int32_t token, FinishReason finish = FinishReason::kNone) {
  return {.request = 1, .text = std::move(text), .token = token, .finish = finish};
}

AnswerFacts facts(bool chat, bool stream) {
  return {.chat = chat, .stream = stream, .id = "x-1", .model = "m", .created = 5, .choices = 1, .prompt_tokens = 3};
}

TEST(Sse, Framing) {
  EXPECT_EQ(sse_event("{}"), "data: {}\n\n");
  EXPECT_EQ(sse_done(), "data: [DONE]\n\n");
  EXPECT_EQ(sse_comment("x"), ": x\n\n");
  EXPECT_EQ(http_chunk("abc"), "3\r\nabc\r\n");
  EXPECT_EQ(http_chunk(std::string(26, 'a')).substr(0, 4), "1a\r\n");
  EXPECT_EQ(http_chunk(""), "");
}

TEST(Answer, WholeChat) {
  const auto writer = make_openai_answer(facts(true, false));
  EXPECT_EQ(writer->on_event(0, event("Hel", 1)), "");
  EXPECT_EQ(writer->on_event(0, event("lo\n\"", 2)), "");
  writer->on_event(0, event("", 9, FinishReason::kStop));
  const json body = json::parse(writer->finish());
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["choices"][0]["message"]["content"], "Hello\n\"");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
  EXPECT_TRUE(body["choices"][0]["logprobs"].is_null());
  EXPECT_EQ(body["usage"], (json{{"prompt_tokens", 3},
                                 {"completion_tokens", 3},
                                 {"total_tokens", 6},
                                 {"prompt_tokens_details", {{"cached_tokens", 0}}},
                                 {"completion_tokens_details", {{"reasoning_tokens", 0}}},
                                 {"energy_joules", nullptr}}));
}

TEST(Answer, StreamedChat) {
  AnswerFacts streamed = facts(true, true);
  streamed.include_usage = true;
  const auto writer = make_openai_answer(streamed);
  std::string out = writer->on_event(0, event("Hi", 1));
  out += writer->on_event(0, event("", 2));  // half a code point: nothing to say yet
  out += writer->on_event(0, event("!", 3, FinishReason::kLength));
  out += writer->finish();
  const auto payloads = testing::sse_payloads(out);
  ASSERT_EQ(payloads.size(), 6u);
  const json role = json::parse(payloads[0]), text = json::parse(payloads[1]), end = json::parse(payloads[3]),
             usage = json::parse(payloads[4]);
  EXPECT_EQ(role["object"], "chat.completion.chunk");
  EXPECT_EQ(role["choices"][0]["delta"]["role"], "assistant");
  EXPECT_TRUE(role["usage"].is_null());
  EXPECT_EQ(text["choices"][0]["delta"], (json{{"content", "Hi"}}));
  EXPECT_TRUE(text["choices"][0]["finish_reason"].is_null());
  EXPECT_EQ(end["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(end["choices"][0]["delta"], json::object());
  EXPECT_EQ(usage["choices"], json::array());
  EXPECT_EQ(usage["usage"]["completion_tokens"], 3);
  EXPECT_EQ(payloads[5], "[DONE]");
}

TEST(Answer, StreamedCompletion) {
  const auto writer = make_openai_answer(facts(false, true));
  const auto payloads = testing::sse_payloads(
      writer->on_event(0, event("Hi", 1)) + writer->on_event(0, event("", 2, FinishReason::kStop)) + writer->finish());
  ASSERT_EQ(payloads.size(), 3u);
  EXPECT_EQ(json::parse(payloads[0])["choices"][0]["text"], "Hi");
  EXPECT_EQ(json::parse(payloads[1])["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(json::parse(payloads[0])["object"], "text_completion");
}

TEST(Answer, LogprobsListTheTokensOfTheText) {
  const auto tokenizer = testing::tiny_model().tokenizer();
  const int32_t end = *tokenizer->eos();
  const std::vector<int32_t> ids = tokenizer->encode("a\xc3\xa9z", {.add_special = false});
  for (const bool chat : {true, false}) {
    AnswerFacts wanted = facts(chat, false);
    wanted.logprobs = true;
    wanted.tokenizer = tokenizer;
    const auto writer = make_openai_answer(wanted);
    for (const int32_t id : ids) {
      TextEvent one = event("", id);
      one.logprobs = TokenLogprobs{-0.5f, {{id, -0.5f}, {end, -1e30f}}};
      writer->on_event(0, std::move(one));
    }
    TextEvent last = event("", end, FinishReason::kStop);
    last.logprobs = TokenLogprobs{-0.1f, {}};
    writer->on_event(0, std::move(last));
    const json logprobs = json::parse(writer->finish())["choices"][0]["logprobs"];
    if (chat) {
      ASSERT_EQ(logprobs["content"].size(), ids.size());
      std::string bytes;
      for (const json& token : logprobs["content"]) {
        for (const json& byte : token["bytes"]) bytes += static_cast<char>(byte.get<int>());
        EXPECT_EQ(token["top_logprobs"].size(), 2u);
        EXPECT_EQ(token["top_logprobs"][1]["logprob"], -9999.0);
      }
      EXPECT_EQ(bytes, "a\xc3\xa9z");
    } else {
      ASSERT_EQ(logprobs["tokens"].size(), ids.size());
      EXPECT_EQ(logprobs["token_logprobs"].size(), ids.size());
      EXPECT_EQ(logprobs["top_logprobs"].size(), ids.size());
      EXPECT_EQ(logprobs["text_offset"].front(), 0);
      EXPECT_EQ(logprobs["text_offset"].back(), 2);  // code points, not bytes
    }
  }
}

TEST(Answer, UsageInEveryChunk) {
  AnswerFacts streamed = facts(false, true);
  streamed.continuous_usage = true;
  const auto writer = make_openai_answer(streamed);
  const auto first = testing::sse_payloads(writer->on_event(0, event("a", 1)));
  const auto second = testing::sse_payloads(writer->on_event(0, event("b", 2)));
  EXPECT_EQ(json::parse(first.at(0))["usage"]["completion_tokens"], 1);
  EXPECT_EQ(json::parse(second.at(0))["usage"]["completion_tokens"], 2);
  EXPECT_EQ(json::parse(second.at(0))["usage"]["total_tokens"], 5);
}

// Two prompts with two choices each: a prompt's tokens count once, those found in the cache too.
TEST(Answer, CachedTokensCountOnceAPrompt) {
  AnswerFacts four = facts(false, false);
  four.choices = 4;
  four.choices_per_prompt = 2;
  const auto writer = make_openai_answer(four);
  for (size_t choice = 0; choice < 4; ++choice) {
    TextEvent last = event("a", 1, FinishReason::kLength);
    last.report = RequestReport{.cached_tokens = choice < 2 ? 16 : 32};
    writer->on_event(choice, std::move(last));
  }
  const json usage = json::parse(writer->finish())["usage"];
  EXPECT_EQ(usage["prompt_tokens_details"]["cached_tokens"], 48);
  EXPECT_EQ(usage["completion_tokens"], 4);
}

TEST(Answer, ATimeoutIs408AndNotToBeRetried) {
  const ApiError error = api_error(event("", -1, FinishReason::kTimeout), "id");
  EXPECT_EQ(error.status(), 408);
  EXPECT_EQ(error.code(), "deadline_exceeded");
  const auto headers = error.reply().headers;
  EXPECT_NE(std::find(headers.begin(), headers.end(), std::pair<std::string, std::string>("x-should-retry", "false")),
            headers.end());
}

TEST(Wire, RequestIds) {
  EXPECT_EQ(request_id("abc-1"), "abc-1");
  EXPECT_NE(request_id(""), request_id(""));
  EXPECT_EQ(request_id("a b").find(' '), std::string::npos);
  EXPECT_LT(request_id(std::string(1000, 'a')).size(), 200u);
}

TEST(Wire, Date) { EXPECT_EQ(http_date(784887151), "Tue, 15 Nov 1994 08:12:31 GMT"); }

}  // namespace
}  // namespace tern
