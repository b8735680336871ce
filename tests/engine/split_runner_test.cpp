// One model on two runners: the bits of the whole program wherever it is split, for every tiny model; with a GPU as the
// second half its logits are near transformers'.
#include "engine/runner/split_runner.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "engine/golden_models.h"
#include "engine/runner/cuda_runner.h"
#include "engine/runner/gpu_support.h"
#include "engine/scoring.h"
#include "model/archs/arch.h"
#include "model/passes/passes.h"

namespace tern {
namespace {

using test::Expected, test::expected_of, test::Golden;

struct Opened {
  std::shared_ptr<const Checkpoint> checkpoint;
  ModelConfig config;
  Program source;

  explicit Opened(const Golden& golden)
      : checkpoint(open_checkpoint(golden.path)),
        config(model_config(*checkpoint)),
        source(arch_of(*checkpoint).program(config)) {}
};

RunnerOptions options() {
  RunnerOptions options;
  options.threads = 2;
  options.max_batched_tokens = 64;
  options.max_rows = 64;
  options.max_model_len = 400;
  options.kv_tokens = 1024;
  options.block_tokens = 64;
  options.kv_format = Format::kF32;
  return options;
}

std::unique_ptr<Runner> first_half(const Opened& model, const Program& half, const RunnerOptions& options) {
  return make_cpu_runner(model.checkpoint, model.config, lower(half, {.select_rows_early = false}), options);
}

std::map<int64_t, std::vector<float>> logits_of(Runner& runner, const std::vector<int32_t>& ids) {
  std::map<int64_t, std::vector<float>> rows;
  score(runner, {64, 64, 64}, ids, 0,
        [&](int64_t position, std::span<const float> logits) { rows[position].assign(logits.begin(), logits.end()); });
  return rows;
}

class SplitRunners : public testing::TestWithParam<Golden> {};

TEST_P(SplitRunners, GiveTheBitsOfTheWhole) {
  const Opened model(GetParam());
  const auto ids = expected_of(GetParam()).json["prompts"][2]["ids"].get<std::vector<int32_t>>();
  const auto whole = make_cpu_runner(model.checkpoint, model.config, lower(model.source), options());
  const auto want = logits_of(*whole, ids);
  for (int32_t layer = 1; layer < static_cast<int32_t>(model.config.layers); ++layer) {
    const ProgramHalves halves = split_at(model.source, layer);
    auto second = make_cpu_runner(model.checkpoint, model.config, lower(halves.second), options());
    const auto split = make_split_runner(first_half(model, halves.first, options()), std::move(second));
    EXPECT_EQ(logits_of(*split, ids), want) << layer;
  }
}

TEST_P(SplitRunners, HalvesKeepTheirOwnKeysAndValues) {
  const Opened model(GetParam());
  const auto whole = make_cpu_runner(model.checkpoint, model.config, lower(model.source), options());
  const ProgramHalves halves = split_at(model.source, 1);
  const auto first = first_half(model, halves.first, options());
  const auto second = make_cpu_runner(model.checkpoint, model.config, lower(halves.second), options());
  EXPECT_GT(first->memory().kv_pool, 0u);
  EXPECT_EQ(first->memory().kv_pool + second->memory().kv_pool, whole->memory().kv_pool);
  EXPECT_LT(first->memory().packed_weights, whole->memory().packed_weights);
}

TEST_P(SplitRunners, AGpuBehindACpuIsNearTransformers) {
  std::string reason;
  if (count_gpus(&reason) == 0) GTEST_SKIP() << reason;
  const Opened model(GetParam());
  const ProgramHalves halves = split_at(model.source, static_cast<int32_t>(model.config.layers) - 1);
  const Program lowered = lower(halves.second, {.fuse_into_linear = false});
  if (const std::string refusal = cuda_refusal(lowered); !refusal.empty()) GTEST_SKIP() << refusal;
  RunnerOptions of_gpu = options(), of_cpu = options();
  of_gpu.kv_format = Format::kBF16;
  auto second = make_cuda_runner(model.checkpoint, model.config, lowered, of_gpu, {});
  of_cpu.kv_tokens = second->kv_groups()[0].blocks * of_cpu.block_tokens;
  const auto split = make_split_runner(first_half(model, halves.first, of_cpu), std::move(second));
  const Expected expected = expected_of(GetParam());
  double error = 0, norm = 0;
  const float* want = expected.logits.data();
  for (size_t p = 0; p < expected.json["prompts"].size(); ++p) {
    const auto rows = logits_of(*split, expected.json["prompts"][p]["ids"].get<std::vector<int32_t>>());
    for (int64_t position : expected.json["positions"][p].get<std::vector<int64_t>>()) {
      for (float logit : rows.at(position)) {
        error += std::pow(logit - *want, 2);
        norm += std::pow(*want++, 2);
      }
    }
  }
  EXPECT_LE(error / norm, 1e-3);  // weights, activations and cache of the last layer have 8 bits
}

INSTANTIATE_TEST_SUITE_P(All, SplitRunners, testing::ValuesIn(test::goldens()),
                         [](const auto& instance) { return test::test_name(instance.param); });

}  // namespace
}  // namespace tern
