// The public interface, through its header alone, over a tiny model.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "support/paths.h"
#include "tern/tern.h"

namespace tern::embed {
namespace {

std::string tiny_model() { return test::golden_dir() + "/models/llama-tiny/model.gguf"; }

Request greedy(std::vector<int32_t> prompt, int64_t tokens) {
  return {.tokens = std::move(prompt), .max_tokens = tokens, .temperature = 0, .ignore_eos = true};
}

std::vector<int32_t> tokens_of(Stream& stream, Event* last = nullptr) {
  std::vector<int32_t> tokens;
  while (const auto event = stream.next()) {
    if (event->token >= 0) tokens.push_back(event->token);
    if (last != nullptr && event->finish != Finish::kNone) *last = *event;
  }
  return tokens;
}

TEST(Embed, AnswersFromManyThreadsAreThoseOfOne) {
  Engine engine = Engine::load(tiny_model(), {.threads = 2});
  Stream alone = engine.submit(greedy({5, 6, 7, 8}, 30));
  Event last;
  const std::vector<int32_t> wanted = tokens_of(alone, &last);
  EXPECT_EQ(wanted.size(), 30u);
  EXPECT_EQ(last.finish, Finish::kLength);
  EXPECT_EQ(last.prompt_tokens, 4);
  EXPECT_EQ(last.answer_tokens, 30);
  EXPECT_FALSE(alone.next().has_value());

  std::vector<std::thread> threads;
  std::vector<std::vector<int32_t>> answers(8);
  for (size_t i = 0; i < answers.size(); ++i) {
    threads.emplace_back([&engine, &answer = answers[i]] {
      Stream stream = engine.submit(greedy({5, 6, 7, 8}, 30));
      answer = tokens_of(stream);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& answer : answers) EXPECT_EQ(answer, wanted);
}

TEST(Embed, SeedsOfOnePromptAreComputedOnceAndDiffer) {
  Engine engine = Engine::load(tiny_model());
  std::vector<int32_t> prompt;
  for (int32_t i = 0; i < 100; ++i) prompt.push_back(i % 50);
  Request request{.tokens = prompt, .max_tokens = 12, .temperature = 2.0f, .ignore_eos = true};
  std::vector<Stream> streams = engine.submit(request, {1, 2, 1});
  const auto first = tokens_of(streams[0]), second = tokens_of(streams[1]), third = tokens_of(streams[2]);
  EXPECT_EQ(first, third);
  EXPECT_NE(first, second);
  EXPECT_EQ(engine.stats().prompt_tokens, 100);
}

TEST(Embed, APromptSeenBeforeIsFoundUnlessTheSaltDiffers) {
  Engine engine = Engine::load(tiny_model());
  Request request = greedy(std::vector<int32_t>(80, 9), 4);
  const auto cached = [&] {
    Event last;
    Stream stream = engine.submit(request);
    tokens_of(stream, &last);
    return last.cached_tokens;
  };
  EXPECT_EQ(cached(), 0);
  EXPECT_EQ(cached(), 64);  // whole blocks, and one token at least is computed
  request.cache_salt = "somebody else";
  EXPECT_EQ(cached(), 0);
}

TEST(Embed, CancelTimeoutAndDestructionEndStreams) {
  Engine engine = Engine::load(tiny_model());
  Event last;
  // The whole context takes some 20 ms, so on a busy machine a stream may be through before this thread cancels it.
  for (int attempt = 0; attempt < 50 && last.finish != Finish::kCancelled; ++attempt) {
    Stream cancelled = engine.submit(greedy({1, 2, 3}, 0));
    cancelled.next();
    cancelled.cancel();
    cancelled.rest(&last);
    EXPECT_TRUE(last.finish == Finish::kCancelled || last.finish == Finish::kLength);
  }
  EXPECT_EQ(last.finish, Finish::kCancelled);

  Request late = greedy({1, 2, 3}, 0);
  late.timeout = std::chrono::milliseconds(1);
  Stream timed_out = engine.submit(late);
  timed_out.rest(&last);
  EXPECT_TRUE(last.finish == Finish::kTimeout || last.finish == Finish::kLength);

  auto doomed = std::make_unique<Engine>(Engine::load(tiny_model()));
  Stream orphan = doomed->submit(greedy({1, 2, 3}, 0));
  doomed.reset();
  orphan.rest(&last);
  EXPECT_TRUE(last.finish == Finish::kCancelled || last.finish == Finish::kLength);
}

TEST(Embed, ErrorsNameWhatIsWrong) {
  const auto code_of = [](const auto& work) {
    try {
      work();
    } catch (const Error& error) {
      EXPECT_STRNE(error.what(), "");
      return error.code();
    }
    return Error::Code::kFailed;
  };
  EXPECT_EQ(code_of([] { Engine::load("no/such/file.gguf"); }), Error::Code::kBadInput);
  Engine engine = Engine::load(tiny_model(), {.max_queued = 1});
  EXPECT_EQ(code_of([&] { engine.submit(greedy({}, 3)); }), Error::Code::kBadInput);
  EXPECT_EQ(code_of([&] { engine.submit({.tokens = {1}, .temperature = -1}); }), Error::Code::kBadInput);
  EXPECT_EQ(code_of([&] { engine.submit(greedy({1}, 3), {1, 2}); }), Error::Code::kBusy);
}

}  // namespace
}  // namespace tern::embed
