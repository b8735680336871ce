// From tokens to bytes on the wire: whatever the text, the tokens' borders and the stop string, the streamed text is
// the whole text, nothing of a stop string gets out, and no replacement character appears before its time.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/rng.h"
#include "server/openai_answer.h"
#include "server/running_server.h"
#include "text/utf8.h"

namespace tern {
namespace {

using nlohmann::json;
using testing::sse_payloads;
using testing::tiny_model;

// After a prompt of one token it says the script, then the end token.
class ScriptedRunner final : public Runner {
 public:
  std::vector<int32_t> script;
  int32_t end = 0;
  int32_t vocabulary = 0;

  std::span<const float> execute(const Batch& batch) override {
    const auto width = static_cast<size_t>(vocabulary);
    logits_.assign(batch.wanted.size() * width, 0.0f);
    size_t row = 0;
    for (const SequenceSlice& slice : batch.slices[0]) {
      for (; row < batch.wanted.size() && batch.wanted[row] < slice.query_begin + slice.query_len; ++row) {
        const auto said = static_cast<size_t>(slice.history_len + batch.wanted[row] - slice.query_begin);
        const int32_t next = said < script.size() ? script[said] : end;
        logits_[row * width + static_cast<size_t>(next)] = 50.0f;
      }
    }
    return logits_;
  }
  std::vector<KvGroup> kv_groups() const override { return {{64, 0}}; }
  int threads() const override { return 1; }
  MemoryReport memory() const override { return {}; }
  std::vector<OpReport> report(const Batch&) const override { return {}; }

 private:
  std::vector<float> logits_;
};

struct Answer {
  std::string text, finish, logprob_bytes;
  std::vector<std::string> deltas, logprob_tokens;
  json usage;
};

class StreamText : public ::testing::Test {
 protected:
  StreamText() {
    auto runner = std::make_unique<ScriptedRunner>();
    runner_ = runner.get();
    runner_->vocabulary = static_cast<int32_t>(tiny_model().config().vocabulary);
    runner_->end = *tokenizer_->eos();
    engine_ = std::make_unique<Engine>(
        std::move(runner), EngineOptions{.max_model_len = 512, .block_tokens = 16, .vocabulary = runner_->vocabulary},
        std::make_shared<SteadyClock>());
  }

  // The same events as a whole and as a stream.
  std::pair<Answer, Answer> say(const std::vector<int32_t>& script, std::vector<std::string> stops) {
    runner_->script = script;
    Session session(*engine_, tokenizer_);
    GenerationParams params;
    params.sampling.temperature = 0;
    params.stop = std::move(stops);
    params.logprobs = 0;
    AnswerFacts facts{
        .chat = true, .include_usage = true, .logprobs = true, .prompt_tokens = 1, .tokenizer = tokenizer_};
    const auto whole = make_openai_answer(facts);
    facts.stream = true;
    const auto streamed = make_openai_answer(facts);
    session.submit({65}, params);
    std::string bytes;
    tokens_ = 0;
    std::vector<TextEvent> events;
    while (session.step(events)) {
    }
    for (TextEvent& event : events) {
      tokens_ += event.token >= 0 ? 1 : 0;
      whole->on_event(0, TextEvent(event));
      bytes += streamed->on_event(0, std::move(event));
    }
    return {read_whole(json::parse(whole->finish())), read_stream(bytes + streamed->finish())};
  }

  static void add_logprobs(const json& choice, Answer& answer) {
    if (choice["logprobs"].is_null()) return;
    for (const json& token : choice["logprobs"]["content"]) {
      std::string bytes;
      for (const json& byte : token["bytes"]) bytes += static_cast<char>(byte.get<int>());
      answer.logprob_bytes += bytes;
      answer.logprob_tokens.push_back(bytes);
    }
  }
  static Answer read_whole(const json& body) {
    Answer answer{.text = body["choices"][0]["message"]["content"],
                  .finish = body["choices"][0]["finish_reason"],
                  .usage = body["usage"]};
    add_logprobs(body["choices"][0], answer);
    return answer;
  }
  static Answer read_stream(const std::string& bytes) {
    Answer answer;
    for (const std::string& payload : sse_payloads(bytes)) {
      if (payload == "[DONE]") continue;
      const json chunk = json::parse(payload);
      if (chunk["choices"].empty()) {
        answer.usage = chunk["usage"];
        continue;
      }
      const json& choice = chunk["choices"][0];
      if (choice["delta"].contains("content")) answer.deltas.push_back(choice["delta"]["content"]);
      if (choice["finish_reason"].is_string()) answer.finish = choice["finish_reason"];
      add_logprobs(choice, answer);
    }
    for (const std::string& delta : answer.deltas) answer.text += delta;
    return answer;
  }

  // Checks an answer that has to be `expected`, and that its log-probabilities are of the tokens of that text.
  void expect_answer(const std::vector<int32_t>& script, const std::vector<std::string>& stops,
                     const std::string& expected) {
    const auto [whole, streamed] = say(script, stops);
    for (const Answer& answer : {whole, streamed}) {
      EXPECT_EQ(answer.text, expected);
      EXPECT_EQ(answer.finish, "stop");
      EXPECT_EQ(answer.usage["completion_tokens"], tokens_);
      EXPECT_EQ(answer.usage["total_tokens"], tokens_ + 1);
    }
    EXPECT_EQ(whole.usage, streamed.usage);
    EXPECT_EQ(whole.logprob_tokens, streamed.logprob_tokens);
    const std::vector<std::string>& tokens = whole.logprob_tokens;
    const size_t last = tokens.empty() ? 0 : tokens.back().size();
    EXPECT_LE(valid_utf8_length(whole.logprob_bytes.substr(0, whole.logprob_bytes.size() - last), 0), expected.size());
    EXPECT_EQ(tokens.empty(), expected.empty());
    EXPECT_GE(replace_invalid_utf8(whole.logprob_bytes).size(), expected.size());
  }

  std::string random_text(uint64_t seed, size_t characters) {
    static constexpr char32_t kFirst[] = {U' ', U'a', 0xe0, 0x400, 0x4e00, 0x1f600};
    std::string text;
    for (size_t i = 0; i < characters; ++i) {
      const uint64_t bits = random_bits(seed, i);
      append_utf8(text, kFirst[bits % 6] + static_cast<char32_t>(bits / 6 % 20));
    }
    return text;
  }
  std::vector<int32_t> byte_tokens(const std::string& text) const {
    std::vector<int32_t> out;
    for (const char byte : text) {
      for (const int32_t id : tokenizer_->encode(std::string(1, byte), {.add_special = false})) out.push_back(id);
    }
    return out;
  }

  std::shared_ptr<const Tokenizer> tokenizer_ = tiny_model().tokenizer();
  ScriptedRunner* runner_ = nullptr;
  std::unique_ptr<Engine> engine_;
  int tokens_ = 0;
};

TEST_F(StreamText, StopsAtEverySplitPointNeverLeak) {
  int compared = 0;
  for (uint64_t seed = 0; seed < 12; ++seed) {
    const std::string text = random_text(seed, 14);
    std::vector<size_t> borders;
    for (size_t at = 0; at < text.size(); at += code_point_at(text, at).bytes) borders.push_back(at);
    borders.push_back(text.size());
    for (const auto& script : {tokenizer_->encode(text, {.add_special = false}), byte_tokens(text)}) {
      ASSERT_EQ(tokenizer_->decode(script), text);
      expect_answer(script, {}, text);
      for (size_t i = 0; i + 1 < borders.size(); ++i) {
        for (size_t n = 1; n <= 3 && i + n < borders.size(); ++n) {
          const std::string stop = text.substr(borders[i], borders[i + n] - borders[i]);
          expect_answer(script, {stop, "never said"}, text.substr(0, text.find(stop)));
          ++compared;
        }
      }
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(compared, 500);
}

// A stop string that begins twice, ends the text, or is nearly said.
TEST_F(StreamText, NearlyAStopIsText) {
  for (const auto& [text, stop, expected] : {std::tuple{"aab", "ab", "a"},
                                             {"aaab", "aab", "a"},
                                             {"abac", "abab", "abac"},
                                             {"xSTOP", "STOP", "x"},
                                             {"xSTO", "STOP", "xSTO"},
                                             {"STOP", "STOP", ""},
                                             {"xSSTOPy", "STOP", "xS"}}) {
    expect_answer(byte_tokens(text), {stop}, expected);
  }
}

TEST_F(StreamText, NoReplacementCharacterBeforeItsTime) {
  for (uint64_t seed = 100; seed < 140; ++seed) {
    const std::string text = random_text(seed, 20);
    const auto [whole, streamed] = say(byte_tokens(text), {});
    EXPECT_EQ(whole.text, text);
    for (const std::string& delta : streamed.deltas) EXPECT_EQ(delta.find("\xef\xbf\xbd"), std::string::npos);
    // Half a character at the very end is one.
    const std::string cut = text + "\xf0\x9f\x98";
    expect_answer(byte_tokens(cut), {}, text + "\xef\xbf\xbd");
  }
}

TEST_F(StreamText, AnyBytes) {
  for (uint64_t seed = 200; seed < 240; ++seed) {
    std::string bytes;
    for (uint64_t i = 0; i < 24; ++i) bytes += static_cast<char>(random_bits(seed, i));
    const std::vector<int32_t> script = byte_tokens(bytes);
    const std::string expected = replace_invalid_utf8(tokenizer_->decode(script));
    const auto [whole, streamed] = say(script, {});
    EXPECT_EQ(whole.text, expected);
    EXPECT_EQ(streamed.text, expected);
  }
}

TEST_F(StreamText, StopTokensEndTheAnswerAndAreNoPartOfIt) {
  const std::vector<int32_t> script = byte_tokens("abcdef");
  runner_->script = script;
  Session session(*engine_, tokenizer_);
  GenerationParams params;
  params.sampling.temperature = 0;
  params.ignore_eos = true;
  params.stop_tokens = {script[4], script[2]};
  session.submit({65}, params);
  std::vector<TextEvent> events;
  while (session.step(events)) {
  }
  std::string text;
  for (const TextEvent& event : events) text += event.text;
  EXPECT_EQ(text, "ab");
  EXPECT_EQ(events.back().finish, FinishReason::kStop);
  EXPECT_EQ(events.back().token, script[2]);
  EXPECT_FALSE(events.back().stop_string);
}

}  // namespace
}  // namespace tern
