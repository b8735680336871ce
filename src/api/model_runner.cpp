#include "api/model_runner.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/error.h"
#include "core/host_memory.h"
#include "engine/runner/cuda_runner.h"
#include "engine/runner/split_runner.h"
#include "model/passes/passes.h"
#include "quant/kv_format.h"

namespace tern {
namespace {

int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// Tokens of the KV pool: what the given bytes hold, or the default.
int64_t kv_tokens(const LoadOptions& options, const Program& lowered) {
  const auto per_token = static_cast<int64_t>(kv_bytes_per_token(lowered, *options.kv_format, options.block_tokens));
  if (options.kv_cache_bytes > 0) {
    const int64_t tokens =
        static_cast<int64_t>(options.kv_cache_bytes) / per_token / options.block_tokens * options.block_tokens;
    if (tokens < options.block_tokens) {
      bad_input(fmt::format("[options] --kv-cache-memory-bytes {} is less than one block of {} bytes",
                            options.kv_cache_bytes, per_token * options.block_tokens));
    }
    return tokens;
  }
  const int64_t full = round_up(options.max_model_len, options.block_tokens) * options.max_sequences;
  if (options.device.on_gpu()) return full;  // or what its memory has left
  const int64_t quarter = static_cast<int64_t>(available_memory_bytes() / 4) / per_token;
  return std::max(std::min(quarter / options.block_tokens * options.block_tokens, full), options.block_tokens);
}

RunnerOptions runner_options(const ModelFacts& facts, const LoadOptions& options) {
  return {.threads = options.threads,
          .max_batched_tokens = options.max_batched_tokens,
          .max_rows = options.max_rows,
          .max_sequences = options.max_sequences,
          .max_model_len = options.max_model_len,
          .kv_tokens = kv_tokens(options, facts.lowered),
          .block_tokens = options.block_tokens,
          .kv_format = *options.kv_format,
          .kernels = options.kernels,
          .pool = ThreadPoolOptions::from_environment(),
          .pack_cache = options.pack_cache};
}

CudaOptions cuda_options(const LoadOptions& options) {
  return {.device = options.device.gpu,
          .memory_share = options.gpu_memory_share,
          .graphs = options.gpu_graphs,
          .fusions = options.gpu_fusions,
          .deterministic = options.deterministic,
          .quantization = options.gpu_quantization};
}

// The kind of cache that a CPU has for a GPU's.
Format cpu_kv_format(Format gpu) { return gpu == kKvFp8 ? kKvInt8 : Format::kF16; }

// The first layers on the CPU, the last `count` and the head on the GPU.
std::unique_ptr<Runner> make_split(const ModelFacts& facts, const LoadOptions& options, int64_t count) {
  const ProgramHalves halves = split_at(facts.source, static_cast<int32_t>(facts.config.layers - count));
  RunnerOptions runner = runner_options(facts, options);
  std::unique_ptr<Runner> second =
      make_cuda_runner(facts.checkpoint, facts.config, lower_for_gpu(halves.second), runner, cuda_options(options));
  runner.kv_tokens = second->kv_groups()[0].blocks * options.block_tokens;
  runner.kv_format = cpu_kv_format(*options.kv_format);
  runner.pack_cache = {};  // what is kept there is a whole model
  PassSelection passes = PassSelection::from_environment();
  passes.select_rows_early = false;  // every token's hidden state goes on
  return make_split_runner(make_cpu_runner(facts.checkpoint, facts.config, lower(halves.first, passes), runner),
                           std::move(second));
}

// None of the layers are on the GPU: what was chosen for it is chosen again.
void on_cpu(ModelFacts& facts, LoadOptions& options) {
  options.device = {};
  options.kv_format = cpu_kv_format(*options.kv_format);
  facts.lowered = lower(facts.source, PassSelection::from_environment());
}

}  // namespace

Program lower_for_gpu(const Program& source) {
  PassSelection passes = PassSelection::from_environment();
  passes.fuse_into_linear = false;
  return lower(source, passes);
}

std::unique_ptr<Runner> make_runner(ModelFacts& facts, LoadOptions& options) {
  const RunnerOptions runner = runner_options(facts, options);
  int64_t layers = options.device.on_gpu() ? options.gpu_layers : 0;
  if (layers == kAutoLayers) {
    layers = gpu_layers_that_fit(*facts.checkpoint, facts.source, runner, cuda_options(options));
  }
  if (layers == 0) {
    if (options.device.on_gpu()) on_cpu(facts, options);
    return make_cpu_runner(facts.checkpoint, facts.config, facts.lowered, runner_options(facts, options));
  }
  if (layers > 0 && layers < facts.config.layers) return make_split(facts, options, layers);
  return make_cuda_runner(facts.checkpoint, facts.config, facts.lowered, runner, cuda_options(options));
}

}  // namespace tern
