// Steady-state decoding allocates nothing: memory is planned and reserved, not found on the way.
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "model/archs/arch.h"
#include "model/passes/passes.h"
#include "quant/kv_int8.h"
#include "support/allocation_watch.h"
#include "support/paths.h"

namespace tern {
namespace {

class Allocation : public testing::TestWithParam<Format> {};

TEST_P(Allocation, SteadyStateDecodingAllocatesNothing) {
  const auto checkpoint = open_checkpoint(test::golden_dir() + "/models/llama-tiny/model.gguf");
  const ModelConfig config = model_config(*checkpoint);
  RunnerOptions options;
  options.threads = 2;
  options.max_model_len = 512;
  options.kv_tokens = 512 * 4;
  options.kv_format = GetParam();
  auto runner = make_cpu_runner(checkpoint, config, lower(arch_of(*checkpoint).program(config)), options);
  Engine engine(std::move(runner), {.max_model_len = 512, .vocabulary = config.vocabulary},
                std::make_shared<SteadyClock>());
  for (int32_t i = 0; i < 3; ++i) {
    Request request;
    request.prompt = {1 + i, 2, 3, 4};
    request.sampling.temperature = i == 0 ? 0.0f : 0.8f;
    request.sampling.top_k = 20;
    request.sampling.repetition_penalty = i == 2 ? 1.1f : 1.0f;
    request.max_tokens = 300;
    engine.submit(std::move(request));
  }
  std::vector<TokenEvent> events;
  events.reserve(16);
  for (int step = 0; step < 20; ++step) {  // prompts, and scratch growing to its size
    events.clear();
    engine.step(events);
  }
  const test::AllocationWatch watch;
  for (int step = 0; step < 100; ++step) {
    events.clear();
    engine.step(events);
  }
  EXPECT_EQ(watch.total(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Caches, Allocation, testing::Values(Format::kF16, kKvInt8));

}  // namespace
}  // namespace tern
