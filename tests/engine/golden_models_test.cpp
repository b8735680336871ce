// Tiny random models against transformers: logits within 1e-4 whatever the chunking, through GGUF and through
// safetensors; greedy continuations equal; the same bits alone, in company, chunked, and on one or two threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/thread_pool.h"
#include "engine/engine.h"
#include "engine/golden_models.h"
#include "engine/scoring.h"
#include "model/archs/arch.h"
#include "model/passes/passes.h"
#include "quant/kv_int8.h"

namespace tern {
namespace {

using test::Expected, test::expected_of, test::Golden;

constexpr float kTolerance = 1e-4f;
// With keys and values of 8 bits, squared error over squared logits, of all positions and of the worst one. Random
// models attend to one key or another by little, so a cache's rounding grows in them; what is measured: 1e-3 and 1e-2.
constexpr double kInt8Error = 2e-3, kInt8ErrorOfOne = 2e-2;
// Rounding may send a token to another expert, which changes its logits at once: of so many positions one may be so.
constexpr int64_t kPositionsAnExpert = 10;

struct Setup {
  int threads = 1;
  int64_t max_batched_tokens = 512;
  Format kv_format = Format::kF32;
  std::string kernels;
  int64_t kv_tokens = 16'000;
  int64_t block_tokens = 16;
};

struct Loaded {
  ModelConfig config;
  std::unique_ptr<Runner> runner;
  ScoringLimits limits;
};

constexpr int64_t kContext = 400;

Loaded load(const std::string& path, const Setup& setup) {
  auto checkpoint = open_checkpoint(path);
  Loaded out;
  out.config = model_config(*checkpoint);
  const Program lowered = lower(arch_of(*checkpoint).program(out.config));
  RunnerOptions options;
  options.threads = setup.threads;
  options.max_batched_tokens = setup.max_batched_tokens;
  options.max_rows = 512;
  options.max_model_len = kContext;
  options.kv_tokens = setup.kv_tokens;
  options.block_tokens = setup.block_tokens;
  options.kv_format = setup.kv_format;
  options.kernels = KernelSelection::parse(setup.kernels);
  out.limits = {setup.max_batched_tokens, options.max_rows, options.block_tokens};
  out.runner = make_cpu_runner(checkpoint, out.config, lowered, options);
  return out;
}

std::vector<std::vector<float>> all_logits(Loaded& model, const std::vector<int32_t>& ids) {
  std::vector<std::vector<float>> rows(ids.size());
  score(*model.runner, model.limits, ids, 0, [&](int64_t position, std::span<const float> logits) {
    rows[static_cast<size_t>(position)].assign(logits.begin(), logits.end());
  });
  return rows;
}

class GoldenModels : public testing::TestWithParam<Golden> {};

void expect_logits(const Golden& golden, const Setup& setup) {
  Loaded model = load(golden.path, setup);
  const Expected expected = expected_of(golden);
  size_t at = 0;
  for (size_t p = 0; p < expected.json["prompts"].size(); ++p) {
    const auto rows = all_logits(model, expected.json["prompts"][p]["ids"].get<std::vector<int32_t>>());
    for (int64_t position : expected.json["positions"][p].get<std::vector<int64_t>>()) {
      float worst = 0;
      for (float logit : rows[static_cast<size_t>(position)]) {
        worst = std::max(worst, std::abs(logit - expected.logits[at++]));
      }
      ASSERT_LE(worst, kTolerance) << golden.path << " prompt " << p << " position " << position;
    }
  }
  EXPECT_EQ(at, expected.logits.size());
}

TEST_P(GoldenModels, ReferenceKernelsMatchTransformers) { expect_logits(GetParam(), {.kernels = "ref"}); }
TEST_P(GoldenModels, FastKernelsMatchTransformersInF32) { expect_logits(GetParam(), {.threads = 2}); }
TEST_P(GoldenModels, ChunksOfSevenMatchTransformers) { expect_logits(GetParam(), {.max_batched_tokens = 7}); }

std::vector<const char*> kernel_sets() {
  return (detect_isa() & kIsaAvx2) == 0 ? std::vector<const char*>{"", "ref"}
                                        : std::vector<const char*>{"", "avx2", "ref"};
}

void expect_near_logits(const Golden& golden, const Setup& setup) {
  Loaded model = load(golden.path, setup);
  const Expected expected = expected_of(golden);
  double error = 0, norm = 0;
  int64_t positions = 0, other_experts = 0;
  size_t at = 0;
  for (size_t p = 0; p < expected.json["prompts"].size(); ++p) {
    const auto rows = all_logits(model, expected.json["prompts"][p]["ids"].get<std::vector<int32_t>>());
    for (int64_t position : expected.json["positions"][p].get<std::vector<int64_t>>()) {
      double row_error = 0, row_norm = 0;
      for (float logit : rows[static_cast<size_t>(position)]) {
        const double want = expected.logits[at++];
        row_error += (logit - want) * (logit - want);
        row_norm += want * want;
      }
      ++positions;
      if (model.config.route.experts > 0 && row_error / row_norm > kInt8ErrorOfOne) {
        ++other_experts;
        continue;
      }
      EXPECT_LE(row_error / row_norm, kInt8ErrorOfOne) << setup.kernels << " prompt " << p << " position " << position;
      error += row_error;
      norm += row_norm;
    }
  }
  EXPECT_LE(other_experts, positions / kPositionsAnExpert) << setup.kernels;
  EXPECT_LE(error / norm, kInt8Error) << setup.kernels;
  EXPECT_GT(error / norm, 1e-6) << "is the cache of 8 bits?";
}

TEST_P(GoldenModels, AnInt8CacheIsNearTransformers) {
  for (const char* kernels : kernel_sets()) {
    expect_near_logits(GetParam(), {.kv_format = kKvInt8, .kernels = kernels});
  }
}

TEST_P(GoldenModels, SameBitsHoweverChunkedAndThreaded) {
  const Expected expected = expected_of(GetParam());
  for (const Format format : {Format::kF16, kKvInt8}) {
    for (const char* kernels : kernel_sets()) {
      Loaded whole = load(GetParam().path, {.kv_format = format, .kernels = kernels});
      Loaded chunked =
          load(GetParam().path, {.threads = 2, .max_batched_tokens = 7, .kv_format = format, .kernels = kernels});
      for (const auto& prompt : expected.json["prompts"]) {
        const auto ids = prompt["ids"].get<std::vector<int32_t>>();
        EXPECT_TRUE(all_logits(whole, ids) == all_logits(chunked, ids)) << kernels << " " << prompt["name"];
      }
    }
  }
}

TEST_P(GoldenModels, SameBitsWhateverTheBlockLength) {
  const auto prompt = expected_of(GetParam()).json["prompts"][2]["ids"].get<std::vector<int32_t>>();
  Loaded usual = load(GetParam().path, {});
  const auto wanted = all_logits(usual, prompt);
  for (const int64_t block_tokens : {64, 512}) {
    Loaded model = load(GetParam().path, {.max_batched_tokens = 100, .block_tokens = block_tokens});
    EXPECT_TRUE(all_logits(model, prompt) == wanted) << block_tokens;
  }
}

std::map<RequestId, std::vector<int32_t>> run_all(Engine& engine,
                                                  std::map<RequestId, std::vector<TokenLogprobs>>* logprobs) {
  std::map<RequestId, std::vector<int32_t>> answers;
  std::vector<TokenEvent> events;
  bool more = true;
  while (more) {
    events.clear();
    more = engine.step(events);
    for (const TokenEvent& event : events) {
      answers[event.request].push_back(event.token);
      if (logprobs != nullptr && event.logprobs) (*logprobs)[event.request].push_back(*event.logprobs);
    }
  }
  return answers;
}

Request greedy_request(std::vector<int32_t> prompt, int64_t max_tokens) {
  Request request;
  request.prompt = std::move(prompt);
  request.sampling.temperature = 0;
  request.max_tokens = max_tokens;
  request.logprobs = 3;
  return request;
}

Engine make_engine(const Golden& golden, const Setup& setup) {
  Loaded model = load(golden.path, setup);
  const int64_t vocabulary = model.config.vocabulary;
  return Engine(std::move(model.runner),
                {.max_model_len = kContext,
                 .block_tokens = setup.block_tokens,
                 .vocabulary = vocabulary,
                 .scheduler = {.max_batched_tokens = setup.max_batched_tokens, .max_sequences = 32}},
                std::make_shared<SteadyClock>());
}

TEST_P(GoldenModels, GreedyContinuationMatchesTransformers) {
  constexpr double kSure = 0.02;  // closer logits may swap by rounding
  const Expected expected = expected_of(GetParam());
  Engine engine = make_engine(GetParam(), {.kernels = "ref"});
  for (size_t p = 0; p < expected.json["prompts"].size(); ++p) {
    const auto greedy = expected.json["greedy"][p].get<std::vector<int32_t>>();
    const auto gaps = expected.json["gaps"][p].get<std::vector<double>>();
    engine.submit(greedy_request(expected.json["prompts"][p]["ids"].get<std::vector<int32_t>>(),
                                 static_cast<int64_t>(greedy.size())));
    const auto answer = run_all(engine, nullptr).begin()->second;
    for (size_t i = 0; i < greedy.size() && gaps[i] > kSure; ++i) ASSERT_EQ(answer[i], greedy[i]) << p << " step " << i;
  }
}

void expect_same_bits_in_company(const Golden& golden, Format format) {
  const Expected expected = expected_of(golden);
  const auto prompt = expected.json["prompts"][1]["ids"].get<std::vector<int32_t>>();
  const auto other = expected.json["prompts"][2]["ids"].get<std::vector<int32_t>>();
  Engine alone = make_engine(golden, {.kv_format = format});
  std::map<RequestId, std::vector<TokenLogprobs>> alone_logprobs, company_logprobs;
  const RequestId id = alone.submit(greedy_request(prompt, 24));
  const auto solo = run_all(alone, &alone_logprobs)[id];

  Engine company = make_engine(golden, {.threads = 2, .max_batched_tokens = 61, .kv_format = format});
  RequestId watched = 0;
  for (int i = 0; i < 32; ++i) {
    if (i == 13) {
      watched = company.submit(greedy_request(prompt, 24));
    } else {
      company.submit(greedy_request({other.begin(), other.begin() + 1 + i * 9}, 5 + i));
    }
  }
  EXPECT_EQ(run_all(company, &company_logprobs)[watched], solo);
  ASSERT_EQ(company_logprobs[watched].size(), alone_logprobs[id].size());
  for (size_t i = 0; i < solo.size(); ++i) {
    EXPECT_EQ(company_logprobs[watched][i].logprob, alone_logprobs[id][i].logprob);
    EXPECT_EQ(company_logprobs[watched][i].top, alone_logprobs[id][i].top);
  }
  EXPECT_EQ(company.stats().kv_blocks_free, company.stats().kv_blocks);
}

TEST_P(GoldenModels, SameBitsAloneAndAmongThirtyOneOthers) {
  for (const Format format : {Format::kF16, kKvInt8}) expect_same_bits_in_company(GetParam(), format);
}

// Found in the cache, forked from a sibling, or thrown out for want of blocks and computed again: the same bits.
void expect_same_bits_whatever_the_blocks_history(const Golden& golden, Format format) {
  const Expected expected = expected_of(golden);
  const auto prompt = expected.json["prompts"][2]["ids"].get<std::vector<int32_t>>();
  const std::vector<int32_t> half(prompt.begin(), prompt.begin() + static_cast<int64_t>(prompt.size()) / 2);
  Engine alone = make_engine(golden, {.kv_format = format});
  std::map<RequestId, std::vector<TokenLogprobs>> solo_logprobs, logprobs;
  const RequestId solo = alone.submit(greedy_request(prompt, 40));
  const RequestId solo_half = alone.submit(greedy_request(half, 40));
  auto wanted = run_all(alone, &solo_logprobs);

  // A pool of one longest sequence for many that want more together.
  Engine engine = make_engine(golden, {.max_batched_tokens = 61, .kv_format = format, .kv_tokens = kContext});
  std::map<RequestId, RequestId> same_as;
  for (int round = 0; round < 3; ++round) {
    const RequestId leader = engine.submit(greedy_request(prompt, 40));
    same_as[leader] = solo;
    for (int i = 0; i < 3; ++i) same_as[engine.submit(greedy_request(prompt, 40), leader)] = solo;
    same_as[engine.submit(greedy_request(half, 40))] = solo_half;
  }
  const auto answers = run_all(engine, &logprobs);
  for (const auto& [id, other] : same_as) {
    ASSERT_EQ(answers.at(id), wanted[other]) << id;
    for (size_t i = 0; i < answers.at(id).size(); ++i) {
      ASSERT_EQ(logprobs[id][i].logprob, solo_logprobs[other][i].logprob) << id << " token " << i;
    }
  }
  const EngineStats stats = engine.stats();
  EXPECT_GT(stats.prefix_cache_hits, 0);
  EXPECT_GT(stats.preemptions, 0);
  EXPECT_EQ(stats.kv_blocks_free, stats.kv_blocks);
}

TEST_P(GoldenModels, SameBitsFromTheCacheAsAForkAndAfterPreemption) {
  for (const Format format : {Format::kF16, kKvInt8}) {
    expect_same_bits_whatever_the_blocks_history(GetParam(), format);
  }
}

// Blocks of a state that is worth more tokens than a usual block has.
TEST(GoldenStates, PrefixesInLongBlocksGiveTheSameBits) {
  const std::string folder = test::golden_dir() + "/models/qwen3next-tiny";
  const Golden golden{"qwen3next-tiny", folder + "/model.gguf"};
  const auto prompt = expected_of(golden).json["prompts"][2]["ids"].get<std::vector<int32_t>>();
  Engine usual = make_engine(golden, {}), engine = make_engine(golden, {.block_tokens = 128});
  const RequestId first = usual.submit(greedy_request(prompt, 24));
  const auto wanted = run_all(usual, nullptr)[first];
  for (int round = 0; round < 2; ++round) {
    const RequestId id = engine.submit(greedy_request(prompt, 24));
    EXPECT_EQ(run_all(engine, nullptr)[id], wanted) << round;
  }
  EXPECT_GT(engine.stats().prefix_cache_hits, 0);
}

// Two layers of 800 floats each beside one of 32 floats a token: 64 tokens outweigh them, 32 do not.
TEST(GoldenStates, BlocksGrowUntilTheyOutweighTheirStates) {
  const auto program = [](const std::string& model) {
    const auto checkpoint = open_checkpoint(test::golden_dir() + "/models/" + model + "/model.gguf");
    return lower(arch_of(*checkpoint).program(model_config(*checkpoint)));
  };
  const Program recurrent = program("qwen3next-tiny");
  EXPECT_EQ(default_block_tokens(program("llama-tiny"), Format::kF32), 16);
  EXPECT_EQ(default_block_tokens(recurrent, Format::kF32), 64);
  const int64_t states = 2 * (3 * (2 * 32 + 32) + 4 * 16 * 8) * 4, token = 2 * 16 * 4;
  EXPECT_EQ(kv_bytes_per_token(recurrent, Format::kF32, 16), static_cast<uint64_t>(token + states / 16));
  EXPECT_EQ(kv_bytes_per_token(recurrent, Format::kF32, 64), static_cast<uint64_t>(token + states / 64));
}

INSTANTIATE_TEST_SUITE_P(All, GoldenModels, testing::ValuesIn(test::goldens()),
                         [](const auto& instance) { return test::test_name(instance.param); });

}  // namespace
}  // namespace tern
