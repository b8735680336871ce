// The engine with a runner that applies penalties and biases and reports log-probabilities itself, two steps at once:
// the answers of the sampler on the host. The runner is a device in host memory: counts in slots, rows changed by the
// reference, tokens fed on before the engine knows them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>

#include "core/clock.h"
#include "core/rng.h"
#include "engine/batch_position.h"
#include "engine/engine.h"

namespace tern {
namespace {

constexpr int32_t kVocabulary = 61;

// Logits that depend on a token and its position; few columns stand out, so that penalties decide.
std::vector<float> row_of(int32_t token, int32_t position) {
  std::vector<float> row(kVocabulary);
  for (int32_t i = 0; i < kVocabulary; ++i) {
    const uint64_t bits = random_bits(static_cast<uint64_t>(token % 3), static_cast<uint64_t>(i));
    row[static_cast<size_t>(i)] =
        static_cast<float>(bits % 4096) / 512.0f - 3.0f + 0.01f * static_cast<float>(position % 5);
  }
  return row;
}

// By the definition in f64: nothing in these tests lies near a border.
int32_t draw_from(const std::vector<float>& row, const TokenDraw& draw) {
  const auto best = std::max_element(row.begin(), row.end());
  if (draw.temperature <= 0) return static_cast<int32_t>(best - row.begin());
  std::vector<double> weights;
  double total = 0, sum = 0;
  for (const float logit : row) {
    weights.push_back(std::exp(static_cast<double>(logit - *best) / static_cast<double>(draw.temperature)));
    total += weights.back();
  }
  const double target = static_cast<double>(draw.random >> 11) * 0x1p-53 * total;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (target < (sum += weights[i])) return static_cast<int32_t>(i);
  }
  return kVocabulary - 1;
}

class EmulatedDevice final : public Runner {
 public:
  EmulatedDevice(int64_t slots, int32_t blocks) : slots_(slots), blocks_(blocks) {
    counts_.resize(static_cast<size_t>(slots * kVocabulary), 0x1234);  // what nobody wrote is wrong
  }
  std::span<const float> execute(const Batch& batch) override { return submit(batch), finish().logits; }
  int depth() const override { return 2; }
  int64_t count_slots() const override { return slots_; }
  bool draws(const SamplingParams&, int32_t logprobs) const override { return logprobs <= kGpuMostLogprobs; }

  void submit(const Batch& batch) override {
    Step step;
    for (const CountedTokens& tokens : batch.counted) count(tokens);
    for (size_t row = 0; row < batch.wanted.size(); ++row) {
      const auto at = static_cast<size_t>(batch.wanted[row]);
      const int32_t id = batch.tokens[at];
      const auto logits =
          row_of(id >= 0 ? id : drawn_.at(static_cast<size_t>(-1 - id)), test::position_of(batch, batch.wanted[row]));
      step.logits.insert(step.logits.end(), logits.begin(), logits.end());
      if (batch.draws.empty()) continue;
      const TokenDraw& draw = batch.draws[row];
      step.tokens.push_back(draw_from(adjusted(logits, draw), draw));
      if (draw.count_slot >= 0) {
        GpuTokenCount& seen = counts_[static_cast<size_t>(draw.count_slot * kVocabulary + step.tokens.back())];
        seen = counted_once_more(seen);
      }
      step.logprobs.push_back(logprobs_of(logits, step.tokens.back(), draw.logprobs));
    }
    slots_written += static_cast<int64_t>(batch.counted.size());
    host_rows += batch.logits_wanted ? static_cast<int64_t>(batch.wanted.size()) : 0;
    if (!batch.logits_wanted) step.logits.clear();
    drawn_ = step.tokens;
    steps_.push_back(std::move(step));
    most_in_flight = std::max(most_in_flight, steps_.size());
  }

  StepResult finish() override {
    done_ = std::move(steps_.front());
    steps_.pop_front();
    return {.logits = done_.logits, .tokens = done_.tokens, .logprobs = done_.logprobs};
  }
  std::vector<KvGroup> kv_groups() const override { return {{blocks_, 0}}; }
  int threads() const override { return 1; }
  MemoryReport memory() const override { return {}; }
  std::vector<OpReport> report(const Batch&) const override { return {}; }

  size_t most_in_flight = 0;
  int64_t slots_written = 0, host_rows = 0;

 private:
  struct Step {
    std::vector<float> logits;
    std::vector<int32_t> tokens;
    std::vector<GpuLogprobs> logprobs;
  };
  void count(const CountedTokens& tokens) {
    GpuTokenCount* counts = counts_.data() + tokens.slot * kVocabulary;
    std::fill_n(counts, kVocabulary, GpuTokenCount{0});
    for (const int32_t id : tokens.prompt) counts[id] = kGpuInPrompt;
    for (const int32_t id : tokens.answer) counts[id] = counted_once_more(counts[id]);
  }
  std::vector<float> adjusted(std::vector<float> logits, const TokenDraw& draw) const {
    std::vector<GpuBias> biases;
    for (const auto& [id, bias] : draw.logit_bias) biases.push_back({id, bias});
    const GpuAdjust adjust{.repetition_penalty = draw.repetition_penalty,
                           .presence_penalty = draw.presence_penalty,
                           .frequency_penalty = draw.frequency_penalty,
                           .slot = draw.count_slot,
                           .first_bias = 0,
                           .biases = static_cast<int32_t>(biases.size())};
    const std::vector<float> raw = logits;
    adjust_rows_ref({.logits = raw.data(),
                     .adjusts = &adjust,
                     .biases = biases.data(),
                     .counts = counts_.data(),
                     .adjusted = logits.data(),
                     .rows = 1,
                     .vocabulary = kVocabulary,
                     .overlap = false});
    return logits;
  }
  static GpuLogprobs logprobs_of(const std::vector<float>& logits, int32_t token, int32_t wanted) {
    GpuLogprobs out{};
    if (wanted < 0) return out;
    const TokenLogprobs all = Sampler().log_probabilities(logits, token, wanted);
    out.drawn = all.logprob;
    for (const auto& [id, logprob] : all.top) {
      out.ids[out.count] = id;
      out.values[out.count++] = logprob;
    }
    return out;
  }

  int64_t slots_;
  int32_t blocks_;
  std::vector<GpuTokenCount> counts_;
  std::vector<int32_t> drawn_;
  std::deque<Step> steps_;
  Step done_;
};

Request request_of(int32_t number, int64_t prompt, int64_t answer) {
  Request request;
  for (int32_t i = 0; i < prompt; ++i) request.prompt.push_back((7 * number + i * i) % kVocabulary);
  request.max_tokens = answer;
  SamplingParams& sampling = request.sampling;
  sampling.seed = static_cast<uint64_t>(number);
  sampling.temperature = number % 3 == 0 ? 0.0f : 0.8f;
  if (number % 5 != 1) sampling.repetition_penalty = 1.3f;
  if (number % 5 == 2) sampling.presence_penalty = 1.5f;
  if (number % 5 >= 3) sampling.frequency_penalty = 0.7f;
  if (number % 4 == 1) sampling.logit_bias = {{3, 4.0f}, {40, -5.5f}, {kVocabulary + 9, 3.0f}};
  if (number % 2 == 0) request.logprobs = number % 6;
  return request;
}

// What the sampler on the host makes of the request alone.
std::vector<TokenEvent> expected(const Request& request) {
  Sampler sampler;
  std::vector<TokenEvent> out;
  std::vector<int32_t> answer;
  auto position = static_cast<int32_t>(request.prompt.size()) - 1;
  int32_t token = request.prompt.back();
  while (static_cast<int64_t>(answer.size()) < request.max_tokens) {
    const auto row = row_of(token, position++);
    token = sampler.sample(row, request.sampling, request.prompt, answer);
    answer.push_back(token);
    out.push_back({.token = token});
    if (request.logprobs >= 0) out.back().logprobs = sampler.log_probabilities(row, token, request.logprobs);
  }
  return out;
}

struct DeviceDraws : testing::Test {
  void start(int64_t slots, int32_t blocks) {
    auto owned = std::make_unique<EmulatedDevice>(slots, blocks);
    device = owned.get();
    engine =
        std::make_unique<Engine>(std::move(owned),
                                 EngineOptions{.max_model_len = 120,
                                               .block_tokens = 4,
                                               .vocabulary = kVocabulary,
                                               .scheduler = {.max_batched_tokens = 24, .max_sequences = kSequences}},
                                 std::make_shared<SteadyClock>());
  }
  RequestId submit(const Request& request, RequestId sibling = 0) {
    const RequestId id = engine->submit(request, sibling);
    want[id] = expected(request);
    return id;
  }
  void to_end() {
    for (int i = 0; engine->step(events); ++i) ASSERT_LT(i, 5000) << "does not end";
    std::map<RequestId, std::vector<TokenEvent>> got;
    for (TokenEvent& event : events) got[event.request].push_back(std::move(event));
    for (const auto& [id, answer] : want) {
      ASSERT_EQ(got[id].size(), answer.size()) << id;
      for (size_t i = 0; i < answer.size(); ++i) {
        ASSERT_EQ(got[id][i].token, answer[i].token) << id << " token " << i;
        ASSERT_EQ(got[id][i].logprobs.has_value(), answer[i].logprobs.has_value()) << id;
        if (!answer[i].logprobs) continue;
        EXPECT_EQ(got[id][i].logprobs->logprob, answer[i].logprobs->logprob) << id;
        EXPECT_EQ(got[id][i].logprobs->top, answer[i].logprobs->top) << id;
      }
    }
  }
  int64_t slots() const { return device->count_slots(); }
  static constexpr int64_t kSequences = 4;
  std::unique_ptr<Engine> engine;
  EmulatedDevice* device = nullptr;
  std::vector<TokenEvent> events;
  std::map<RequestId, std::vector<TokenEvent>> want;
};

TEST_F(DeviceDraws, AreThoseOfTheHostWithTwoStepsInFlight) {
  start(2 * kSequences, 200);
  for (int32_t i = 0; i < 20; ++i) submit(request_of(i, 1 + 5 * (i % 7), 1 + 11 * (i % 4)));
  to_end();
  EXPECT_EQ(device->most_in_flight, 2u);
  EXPECT_EQ(device->host_rows, 0) << "everything is drawn by the device";
  EXPECT_EQ(device->slots_written, 16) << "once for each with penalties";
}

TEST_F(DeviceDraws, SurvivePreemption) {
  start(2 * kSequences, 30);
  for (int32_t i = 0; i < 12; ++i) submit(request_of(i, 20, 60));
  to_end();
  EXPECT_GT(engine->stats().preemptions, 0);
  EXPECT_EQ(device->host_rows, 0);
}

// Those of ended sequences serve the next ones.
TEST_F(DeviceDraws, SlotsAreUsedAgain) {
  start(2 * kSequences, 2000);
  for (int32_t i = 0; i < 40; ++i) {
    Request request = request_of(5 * i, 3, 40);
    request.scheduling.priority = i % 2;
    request.scheduling.tenant = static_cast<uint32_t>(i % 3);
    submit(request);
  }
  to_end();
  EXPECT_GE(device->slots_written, 40);
}

TEST_F(DeviceDraws, ForksBeginWithWhatTheHostDrewForThem) {
  start(2 * kSequences, 200);
  Request request = request_of(4, 30, 25);
  const RequestId leader = submit(request);
  for (int32_t i = 0; i < 3; ++i) {
    request.sampling.seed = static_cast<uint64_t>(100 + i);
    submit(request, leader);
  }
  to_end();
  EXPECT_GT(device->host_rows, 0) << "the first tokens of forks";
}

TEST_F(DeviceDraws, CancelledSequencesGiveTheirSlotsBack) {
  start(2 * kSequences, 200);
  for (int32_t round = 0; round < 10; ++round) {
    std::vector<RequestId> gone;
    for (int32_t i = 0; i < 3; ++i) gone.push_back(engine->submit(request_of(5 * i, 6, 50)));
    submit(request_of(5 * round + 2, 9, 12));
    for (int32_t i = 0; i < 5; ++i) engine->step(events);
    for (const RequestId id : gone) engine->cancel(id);
  }
  to_end();
  EXPECT_GT(device->slots_written, 2 * slots()) << "each slot more than twice";
}

TEST_F(DeviceDraws, WithoutSlotsTheHostDrawsWhatHasPenalties) {
  start(2 * kSequences - 1, 200);
  for (int32_t i = 0; i < 8; ++i) submit(request_of(i, 8, 20));
  to_end();
  EXPECT_EQ(device->slots_written, 0);
  EXPECT_GT(device->host_rows, 0);
}

}  // namespace
}  // namespace tern
