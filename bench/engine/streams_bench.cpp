// A step's time at N streams that decode together, in three parts: the runner, the sampler, and all the rest of the
// engine (scheduling, KV cache, batch, events, detokenizing is apart). The rest should stay under 5 % of a step.
//
//   build/release/bench/engine/streams_bench MODEL.gguf [STREAMS=16] [TOKENS=128] [THREADS=0]
#include <fmt/core.h>

#include <chrono>
#include <cstdlib>

#include "api/session.h"

namespace tern {
namespace {

struct Setting {
  const char* name;
  float temperature;
  int32_t top_k;
  float top_p;
};

void measure(Model& model, const Setting& setting, int64_t streams, int64_t tokens) {
  Session session(model);
  const EngineStats before = model.engine().stats();
  for (int64_t i = 0; i < streams; ++i) {
    GenerationParams params;
    params.sampling.temperature = setting.temperature;
    params.sampling.top_k = setting.top_k;
    params.sampling.top_p = setting.top_p;
    params.sampling.seed = static_cast<uint64_t>(i);
    params.max_tokens = tokens;
    params.ignore_eos = true;
    session.submit(text_prompt(model, fmt::format("Story number {}:", i)), params);
  }
  std::vector<TextEvent> events;
  const auto begin = std::chrono::steady_clock::now();
  while (session.step(events)) events.clear();
  const double wall_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
  const EngineStats after = model.engine().stats();
  const auto steps = static_cast<double>(after.steps - before.steps);
  const double runner = static_cast<double>(after.runner_ns - before.runner_ns) / 1e6;
  const double sampler = static_cast<double>(after.sampler_ns - before.sampler_ns) / 1e6;
  const double engine = static_cast<double>(after.host_ns - before.host_ns) / 1e6;
  const double text = wall_ms - runner - sampler - engine;
  fmt::print(
      "{:12} {:8.3f} ms a step: runner {:5.1f} %, sampler {:4.1f} %, engine {:4.2f} %, text {:4.2f} %; {:.0f} "
      "tokens/s\n",
      setting.name, wall_ms / steps, 100 * runner / wall_ms, 100 * sampler / wall_ms, 100 * engine / wall_ms,
      100 * text / wall_ms, static_cast<double>(streams * tokens) / wall_ms * 1e3);
}

int run(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: streams_bench MODEL [STREAMS] [TOKENS] [THREADS]\n");
    return 2;
  }
  const int64_t streams = argc > 2 ? std::atoll(argv[2]) : 16;
  const int64_t tokens = argc > 3 ? std::atoll(argv[3]) : 128;
  const auto model = Model::load(argv[1], {.threads = argc > 4 ? std::atoi(argv[4]) : 0, .max_sequences = streams});
  constexpr Setting kSettings[] = {
      {"greedy", 0, 0, 1}, {"temperature", 0.8f, 0, 1}, {"top-p", 0.8f, 0, 0.95f}, {"top-k 40", 0.8f, 40, 0.95f}};
  for (const Setting& setting : kSettings) measure(*model, setting, streams, tokens);
  return 0;
}

}  // namespace
}  // namespace tern

int main(int argc, char** argv) {
  try {
    return tern::run(argc, argv);
  } catch (const tern::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return static_cast<int>(error.code());
  }
}
