// What the CUDA runner draws with penalties, biases and log-probabilities against the sampler on the host, from the
// very logits of each step: greedy draws are the same tokens, others within rounding. Skipped where there is no GPU.
#include <gtest/gtest.h>

#include <cmath>
#include <deque>

#include "core/clock.h"
#include "engine/engine.h"
#include "engine/golden_models.h"
#include "engine/runner/cuda_runner.h"
#include "model/archs/arch.h"
#include "model/passes/passes.h"

namespace tern {
namespace {

using test::Golden;

constexpr int64_t kContext = 400, kSequences = 8;
// One draw in so many may fall within the rounding of a border.
constexpr int64_t kDrawsABorder = 500;
constexpr float kLogprobRounding = 1e-5f;

// Passes everything on, asks for the logits besides, and draws again from them.
class CheckingRunner final : public Runner {
 public:
  explicit CheckingRunner(std::unique_ptr<Runner> inner) : inner_(std::move(inner)) {}
  std::span<const float> execute(const Batch& batch) override { return inner_->execute(batch); }
  int depth() const override { return inner_->depth(); }
  bool draws(const SamplingParams& params, int32_t top) const override { return inner_->draws(params, top); }
  int64_t count_slots() const override { return inner_->count_slots(); }
  void submit(const Batch& batch) override {
    host_draws += batch.logits_wanted && !batch.wanted.empty() ? 1 : 0;
    Batch with_logits = batch;
    with_logits.logits_wanted = true;
    inner_->submit(with_logits);
    rows_.push_back(batch.draws.empty() ? std::vector<Sequence*>() : batch.wanted_sequence);
    most_in_flight = std::max(most_in_flight, rows_.size());
  }
  StepResult finish() override {
    const StepResult result = inner_->finish();
    for (size_t row = 0; row < rows_.front().size(); ++row) check(*rows_.front()[row], row, result);
    rows_.pop_front();
    return result;
  }
  std::vector<KvGroup> kv_groups() const override { return inner_->kv_groups(); }
  int threads() const override { return inner_->threads(); }
  ThreadPool* pool() override { return inner_->pool(); }
  MemoryReport memory() const override { return inner_->memory(); }
  std::vector<OpReport> report(const Batch& batch) const override { return inner_->report(batch); }

  size_t most_in_flight = 0;
  int64_t host_draws = 0, checked = 0, others = 0, logprobs = 0;

 private:
  // The steps before are committed: the sequence has the tokens that this draw knew.
  void check(const Sequence& sequence, size_t row, const StepResult& result) {
    if (sequence.state == SequenceState::kEnded || !sequence.drawn_by_runner) return;
    const Request& request = sequence.request;
    const size_t vocabulary = result.logits.size() / rows_.front().size();
    const std::span<const float> logits = result.logits.subspan(row * vocabulary, vocabulary);
    const int32_t token = sampler_.sample(logits, request.sampling, request.prompt, sequence.answer);
    ++checked;
    if (token != result.tokens[row]) {
      EXPECT_GT(request.sampling.temperature, 0) << request.id << " token " << sequence.answer.size();
      ++others;
    }
    if (request.logprobs < 0) return;
    const TokenLogprobs want = sampler_.log_probabilities(logits, result.tokens[row], request.logprobs);
    const GpuLogprobs& got = result.logprobs[row];
    EXPECT_NEAR(got.drawn, want.logprob, kLogprobRounding);
    ASSERT_EQ(got.count, static_cast<int32_t>(want.top.size()));
    for (int32_t i = 0; i < got.count; ++i) {
      EXPECT_EQ(got.ids[i], want.top[static_cast<size_t>(i)].first);
      EXPECT_NEAR(got.values[i], want.top[static_cast<size_t>(i)].second, kLogprobRounding);
    }
    ++logprobs;
  }

  std::unique_ptr<Runner> inner_;
  Sampler sampler_;
  std::deque<std::vector<Sequence*>> rows_;
};

struct World {
  std::unique_ptr<Engine> engine;
  CheckingRunner* runner = nullptr;
  int64_t vocabulary = 0;

  World(const Golden& golden, bool graphs, int64_t kv_tokens) {
    auto checkpoint = open_checkpoint(golden.path);
    const ModelConfig config = model_config(*checkpoint);
    const Program lowered = lower(arch_of(*checkpoint).program(config), {.fuse_into_linear = false});
    RunnerOptions options;
    options.threads = 1;
    options.max_batched_tokens = 256;
    options.max_rows = options.max_sequences = kSequences;
    options.max_model_len = kContext;
    options.kv_tokens = kv_tokens;
    options.block_tokens = 64;
    options.kv_format = Format::kBF16;
    auto owned =
        std::make_unique<CheckingRunner>(make_cuda_runner(checkpoint, config, lowered, options, {.graphs = graphs}));
    runner = owned.get();
    vocabulary = config.vocabulary;
    engine =
        std::make_unique<Engine>(std::move(owned),
                                 EngineOptions{.max_model_len = kContext,
                                               .block_tokens = 64,
                                               .vocabulary = vocabulary,
                                               .scheduler = {.max_batched_tokens = 256, .max_sequences = kSequences}},
                                 std::make_shared<SteadyClock>());
  }
  Request request_of(int32_t number, int64_t prompt, int64_t answer) const {
    Request request;
    for (int32_t i = 0; i < prompt; ++i)
      request.prompt.push_back((7 * number + i * i) % static_cast<int32_t>(vocabulary));
    request.max_tokens = answer;
    SamplingParams& sampling = request.sampling;
    sampling.seed = static_cast<uint64_t>(number);
    sampling.temperature = number % 2 == 0 ? 0.0f : 0.9f;
    if (number % 7 == 3) sampling.top_k = 30;
    if (number % 7 == 5) sampling.top_p = 0.9f;
    if (number % 5 != 1) sampling.repetition_penalty = 1.2f;
    if (number % 5 == 2) sampling.presence_penalty = 1.5f;
    if (number % 5 >= 3) sampling.frequency_penalty = 0.7f;
    if (number % 4 == 1) sampling.logit_bias = {{3, 4.0f}, {40, -5.5f}, {static_cast<int32_t>(vocabulary) + 9, 3.0f}};
    if (number % 3 == 0) request.logprobs = number % 21;
    return request;
  }
  void run(int32_t first, int32_t count, int64_t prompt, int64_t answer) const {
    for (int32_t i = first; i < first + count; ++i) {
      engine->submit(request_of(i, prompt + 9 * (i % 5), answer + 3 * (i % 4)));
    }
    std::vector<TokenEvent> events;
    while (engine->step(events)) {
    }
    for (const TokenEvent& event : events) EXPECT_GE(event.token, 0);
  }
  void expect_all_drawn_by_device() const {
    EXPECT_EQ(runner->host_draws, 0);
    EXPECT_EQ(runner->most_in_flight, 2u);
    EXPECT_GT(runner->logprobs, 50);
    EXPECT_LE(runner->others, runner->checked / kDrawsABorder);
  }
};

const Golden& llama_tiny() {
  static const std::vector<Golden> all = test::goldens();
  return *std::find_if(all.begin(), all.end(), [](const Golden& g) { return g.name == "llama-tiny"; });
}

class CudaDrawing : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    std::string reason;
    if (count_gpus(&reason) == 0) GTEST_SKIP() << reason;
  }
};

TEST_P(CudaDrawing, IsTheHostsDraw) {
  const World world(llama_tiny(), GetParam(), 16'000);
  EXPECT_GT(world.runner->memory().draws, 0u);
  world.run(0, 24, 20, 60);  // more than a step has room for
  world.run(30, 1, 20, 60);  // alone
  world.expect_all_drawn_by_device();
  EXPECT_GT(world.runner->checked, 24 * 60);
}

TEST_P(CudaDrawing, IsTheHostsDrawBehindPreemptions) {
  const World world(llama_tiny(), GetParam(), 64 * 14);
  world.run(0, 12, 50, 150);
  EXPECT_GT(world.engine->stats().preemptions, 0);
  world.expect_all_drawn_by_device();
}

INSTANTIATE_TEST_SUITE_P(Steps, CudaDrawing, testing::Bool(),
                         [](const auto& instance) { return instance.param ? "captured" : "launched"; });

}  // namespace
}  // namespace tern
