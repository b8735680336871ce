// The engine with a runner that draws tokens itself and takes two steps at once: the same answers as one step at a
// time, with tokens that the engine does not know yet fed on by their rows.
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <limits>
#include <map>

#include "core/clock.h"
#include "engine/batch_position.h"
#include "engine/engine.h"

namespace tern {
namespace {

constexpr int32_t kVocabulary = 97;

int32_t next_token(int32_t token, int32_t position) { return (7 * token + position + 3) % kVocabulary; }

// What a step came to is kept until finish() as a device would; a token's successor depends on it and its position.
// Draws all requests without penalties.
class DrawingRunner final : public Runner {
 public:
  DrawingRunner(int depth, int* most_in_flight) : depth_(depth), most_in_flight_(most_in_flight) {}
  std::span<const float> execute(const Batch& batch) override {
    submit(batch);
    return finish().logits;
  }
  int depth() const override { return depth_; }
  bool draws(const SamplingParams& params, int32_t logprobs) const override {
    return params.repetition_penalty == 1.0f && logprobs < 0;
  }

  void submit(const Batch& batch) override {
    Step step;
    const std::vector<int32_t> before = drawn_;
    for (size_t row = 0; row < batch.wanted.size(); ++row) {
      const int32_t at = batch.wanted[row];
      int32_t token = batch.tokens[static_cast<size_t>(at)];
      if (token < 0) token = before.at(static_cast<size_t>(-1 - token));
      step.tokens.push_back(token < 0 ? -1 : next_token(token, test::position_of(batch, at)));
      if (step.tokens.back() == fails_at) step.tokens.back() = -1;
    }
    drawn_ = batch.draws.empty() ? std::vector<int32_t>() : step.tokens;
    if (batch.logits_wanted) step.logits = logits_of(step.tokens);
    if (batch.draws.empty()) step.tokens.clear();
    steps_.push_back(std::move(step));
    *most_in_flight_ = std::max(*most_in_flight_, static_cast<int>(steps_.size()));
  }

  StepResult finish() override {
    done_ = std::move(steps_.front());
    steps_.pop_front();
    return {.logits = done_.logits, .tokens = done_.tokens};
  }

  std::vector<KvGroup> kv_groups() const override { return {{64, 0}}; }
  int threads() const override { return 1; }
  MemoryReport memory() const override { return {}; }
  std::vector<OpReport> report(const Batch&) const override { return {}; }

  int32_t fails_at = -1;  // a token that no row gives

 private:
  struct Step {
    std::vector<float> logits;
    std::vector<int32_t> tokens;
  };
  static std::vector<float> logits_of(const std::vector<int32_t>& tokens) {
    std::vector<float> logits(tokens.size() * kVocabulary, 0.0f);
    for (size_t row = 0; row < tokens.size(); ++row) {
      float* begin = logits.data() + row * kVocabulary;
      if (tokens[row] < 0) std::fill_n(begin, kVocabulary, std::numeric_limits<float>::quiet_NaN());
      if (tokens[row] >= 0) begin[tokens[row]] = 40.0f;
    }
    return logits;
  }

  int depth_;
  int* most_in_flight_;
  std::deque<Step> steps_;
  Step done_;
  std::vector<int32_t> drawn_;  // by the last step that was submitted
};

struct Answer {
  std::vector<int32_t> tokens;
  FinishReason finish = FinishReason::kNone;
  std::optional<double> joules;
};

struct Flights {
  std::unique_ptr<Engine> engine;
  DrawingRunner* runner = nullptr;
  int most_in_flight = 0;
  std::map<RequestId, Answer> answers;

  explicit Flights(int depth, EnergyAccount::Meter energy = {}) {
    auto owned = std::make_unique<DrawingRunner>(depth, &most_in_flight);
    runner = owned.get();
    engine = std::make_unique<Engine>(std::move(owned),
                                      EngineOptions{.max_model_len = 128,
                                                    .block_tokens = 16,
                                                    .vocabulary = kVocabulary,
                                                    .scheduler = {.max_batched_tokens = 12, .max_sequences = 4},
                                                    .energy = std::move(energy)},
                                      std::make_shared<SteadyClock>());
  }
  RequestId submit(int32_t first, int64_t prompt, int64_t answer, bool penalty = false, RequestId sibling = 0) {
    Request request;
    for (int32_t i = 0; i < prompt; ++i) request.prompt.push_back((first + i) % kVocabulary);
    request.max_tokens = answer;
    request.sampling.temperature = 0;
    request.sampling.repetition_penalty = penalty ? 1.01f : 1.0f;
    return engine->submit(std::move(request), sibling);
  }
  bool step() {
    std::vector<TokenEvent> events;
    const bool more = engine->step(events);
    for (const TokenEvent& event : events) {
      Answer& answer = answers[event.request];
      EXPECT_EQ(answer.finish, FinishReason::kNone) << "an event behind the end of " << event.request;
      if (event.token >= 0) answer.tokens.push_back(event.token);
      answer.finish = event.finish;
      if (event.report) answer.joules = event.report->joules;
      EXPECT_EQ(event.report.has_value(), event.finish != FinishReason::kNone);
    }
    return more;
  }
  void to_end() {
    for (int i = 0; i < 1000; ++i) {
      if (!step()) return;
    }
    FAIL() << "does not end";
  }
};

// The answer that nobody disturbs.
std::vector<int32_t> expected(int32_t first, int64_t prompt, int64_t count) {
  std::vector<int32_t> out;
  auto position = static_cast<int32_t>(prompt - 1);
  int32_t token = (first + position) % kVocabulary;
  for (int64_t i = 0; i < count; ++i) out.push_back(token = next_token(token, position++));
  return out;
}

TEST(Flight, TwoStepsGiveTheAnswersOfOne) {
  for (const int depth : {1, 2}) {
    Flights run(depth);
    const RequestId a = run.submit(3, 5, 20), b = run.submit(11, 30, 7), c = run.submit(50, 1, 1);
    const RequestId host = run.submit(20, 9, 15, true), late = run.submit(60, 4, 11);
    const RequestId sibling = run.submit(11, 30, 9, false, b);
    run.to_end();
    EXPECT_EQ(run.most_in_flight, depth);
    EXPECT_EQ(run.answers[a].tokens, expected(3, 5, 20));
    EXPECT_EQ(run.answers[b].tokens, expected(11, 30, 7));
    EXPECT_EQ(run.answers[c].tokens, expected(50, 1, 1));
    EXPECT_EQ(run.answers[host].tokens, expected(20, 9, 15));
    EXPECT_EQ(run.answers[late].tokens, expected(60, 4, 11));
    EXPECT_EQ(run.answers[sibling].tokens, expected(11, 30, 9));
    for (const auto& [id, answer] : run.answers) EXPECT_EQ(answer.finish, FinishReason::kLength) << id;
    EXPECT_EQ(run.engine->stats().running, 0);
    EXPECT_EQ(run.engine->stats().answer_tokens, 20 + 7 + 1 + 15 + 11 + 9);
  }
}

TEST(Flight, AnEndWhileTheNextStepRunsIsTheEnd) {
  Flights run(2);
  const std::vector<int32_t> all = expected(3, 5, 20);
  Request request;
  for (int32_t i = 0; i < 5; ++i) request.prompt.push_back(3 + i);
  request.max_tokens = 20;
  request.sampling.temperature = 0;
  request.end_tokens = {all[6]};
  const RequestId stops = run.engine->submit(std::move(request));
  const RequestId other = run.submit(40, 3, 30);
  run.to_end();
  EXPECT_EQ(run.answers[stops].finish, FinishReason::kStop);
  EXPECT_EQ(run.answers[stops].tokens, std::vector<int32_t>(all.begin(), all.begin() + 7));
  EXPECT_EQ(run.answers[other].tokens, expected(40, 3, 30));
}

TEST(Flight, RequestsAreToldTheirEnergy) {
  double joules = 0;
  Flights run(2, [&joules] { return joules += 5; });
  const RequestId first = run.submit(3, 5, 8), second = run.submit(40, 30, 20);
  run.to_end();
  const EnergyTotals totals = run.engine->stats().energy;
  EXPECT_GT(totals.answers.joules, 0);
  EXPECT_GT(*run.answers[first].joules, 0);
  EXPECT_GT(*run.answers[second].joules, 0);
  EXPECT_LE(totals.prompts.joules + totals.answers.joules, joules);
  Flights without(2);
  const RequestId id = without.submit(3, 5, 8);
  without.to_end();
  EXPECT_FALSE(without.answers[id].joules);
}

TEST(Flight, CancelledInFlightEndsOnce) {
  Flights run(2);
  const RequestId gone = run.submit(3, 5, 50), stays = run.submit(40, 3, 30);
  for (int i = 0; i < 6; ++i) run.step();
  run.engine->cancel(gone);
  run.step();
  EXPECT_EQ(run.answers[gone].finish, FinishReason::kCancelled);
  EXPECT_FALSE(run.engine->report(gone).has_value());
  run.engine->cancel(gone);  // it is still being computed
  run.to_end();
  EXPECT_EQ(run.answers[stays].tokens, expected(40, 3, 30));
  EXPECT_EQ(run.engine->stats().kv_blocks_free, run.engine->stats().kv_blocks);
}

TEST(Flight, ARowWithoutATokenFailsItsRequestAlone) {
  Flights run(2);
  run.runner->fails_at = expected(3, 5, 9).back();
  const RequestId fails = run.submit(3, 5, 20), stays = run.submit(40, 3, 4);
  run.to_end();
  EXPECT_EQ(run.answers[fails].finish, FinishReason::kError);
  EXPECT_EQ(run.answers[fails].tokens, expected(3, 5, 8));
  EXPECT_EQ(run.answers[stays].tokens, expected(40, 3, 4));
}

}  // namespace
}  // namespace tern
