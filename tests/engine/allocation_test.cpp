// Steady-state decoding allocates nothing: memory is planned and reserved, not found on the way.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "engine/engine.h"
#include "model/archs/arch.h"
#include "model/passes/passes.h"

namespace {
std::atomic<bool> counting{false};
std::atomic<int64_t> allocations{0};
}  // namespace

// The whole test program's operator new, so that an allocation anywhere inside a step is seen.
void* operator new(size_t size) {
  if (counting.load(std::memory_order_relaxed)) allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* at = std::malloc(size == 0 ? 1 : size)) return at;
  throw std::bad_alloc();
}
void operator delete(void* at) noexcept { std::free(at); }
void operator delete(void* at, size_t) noexcept { std::free(at); }

namespace tern {
namespace {

TEST(Engine, SteadyStateDecodingAllocatesNothing) {
  const auto checkpoint = open_checkpoint(std::string(TERN_GOLDEN_DIR) + "/models/llama-tiny/model.gguf");
  const ModelConfig config = model_config(*checkpoint);
  RunnerOptions options;
  options.threads = 2;
  options.max_model_len = 512;
  options.kv_tokens = 512 * 4;
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
  counting = true;
  for (int step = 0; step < 100; ++step) {
    events.clear();
    engine.step(events);
  }
  counting = false;
  EXPECT_EQ(allocations.load(), 0);
}

}  // namespace
}  // namespace tern
