// What turns a batch into logits. A runner owns its executable: the lowered program bound to packed weights,
// activations and the KV pool, all reserved on construction; execute() allocates nothing. Engine thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/limits.h"
#include "core/thread_pool.h"
#include "engine/batch.h"
#include "engine/kv/kv_cache.h"
#include "engine/request.h"
#include "kernels/cost.h"
#include "kernels/sample/logprobs_gpu.h"
#include "kernels/selection.h"
#include "model/config.h"
#include "model/program.h"

namespace tern {

// Where packed weights are kept between starts (packed_cache.h).
struct PackCacheOptions {
  std::string folder;  // empty: nowhere
  uint64_t max_bytes = Limits::kPackCacheBytes;
  // Weights below this are packed as fast as a file is found and checked.
  uint64_t min_bytes = 8 << 20;
  std::function<void(const std::string&)> warn;  // why nothing could be kept; may be empty
};

enum class PackCacheState : uint8_t { kOff, kMiss, kHit };
std::string_view name_of(PackCacheState state);  // "off", "miss", "hit"

struct PackCacheReport {
  PackCacheState state = PackCacheState::kOff;
  uint64_t bytes = 0;  // of the file
  std::string reason;  // of a miss
};

struct RunnerOptions {
  int threads = 0;  // 0: as many as the process may use
  int64_t max_batched_tokens = 512;
  int64_t max_rows = 64;  // rows of logits a step
  int64_t max_sequences = 64;
  int64_t max_model_len = 0;  // longest sequence; bounds positions
  int64_t kv_tokens = 0;      // tokens that the KV pool holds, rounded up to whole blocks
  int64_t block_tokens = 16;
  Format kv_format = Format::kF16;
  KernelSelection kernels;
  ThreadPoolOptions pool;
  PackCacheOptions pack_cache;
};

// What was reserved, in bytes.
struct MemoryReport {
  uint64_t packed_weights = 0;
  uint64_t mapped_weights = 0;  // used where they lie in the file
  uint64_t activations = 0;
  uint64_t draws = 0;  // counts of tokens and changed logits, for penalties
  uint64_t kv_pool = 0;
};

// One op of the executable, for listings.
struct OpReport {
  std::string line;    // the program's line
  std::string name;    // the same in every layer: "attn_qkv"
  std::string kernel;  // implementation chosen
  Cost cost;           // of the batch asked about
};

// Of a program's ops and the steps that a runner has bound to them, pointers with kernel() and cost(), one an op.
template <typename Steps>
std::vector<OpReport> report_steps(const Program& program, const Steps& steps, const BatchShape& shape) {
  std::vector<OpReport> rows;
  const std::string text = to_string(program);
  size_t at = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    const size_t end = text.find('\n', at);
    rows.push_back({text.substr(at, end - at), short_name(program.ops[i]), steps[i]->kernel(), steps[i]->cost(shape)});
    at = end + 1;
  }
  return rows;
}

// What a step came to. Valid until the runner's next call.
struct StepResult {
  std::span<const float> logits;    // of the wanted rows, [rows, vocabulary]; empty where the runner drew all tokens
  std::span<const int32_t> tokens;  // [rows], where the runner drew them; -1: the row has none. Empty: it drew none
  std::span<const GpuLogprobs> logprobs = {};  // [rows], of those that want them; empty where none does
};

// Rows that a place in an arena has in a step: of its tokens, or those whose logits are wanted.
template <typename Place>
int64_t count_of(const Place& place, const BatchShape& shape) {
  return place.rows == RowCount::kTokens ? shape.tokens : shape.rows;
}

class Runner {
 public:
  virtual ~Runner() = default;
  // Steps that may be submitted before the oldest is finished.
  virtual int depth() const { return 1; }
  // Whether it can draw tokens with these parameters itself (Batch::draws), and report so many log-probabilities.
  virtual bool draws(const SamplingParams& params, int32_t logprobs) const {
    return (void)params, (void)logprobs, false;
  }
  // Sequences whose tokens it can count for penalties (count_slots.h); fewer than depth() steps draw for: it applies
  // none.
  virtual int64_t count_slots() const { return 0; }
  // submit() begins a step, finish() waits for the oldest one that was begun. Here: the whole work is in the second.
  virtual void submit(const Batch& batch) { submitted_ = &batch; }
  virtual StepResult finish() { return {.logits = execute(*submitted_), .tokens = {}}; }
  // Logits of the batch's wanted rows: [rows, vocabulary], valid until the next call. Of the first half of a program
  // (split_at()) [tokens, hidden].
  virtual std::span<const float> execute(const Batch& batch) = 0;
  // Of those rows the largest logit of each block of kScanBlock columns, [rows, blocks], NaN where a block holds one;
  // empty when the runner does not make them.
  virtual std::span<const float> block_maxima() const { return {}; }
  // The cache groups of the program, as they were reserved.
  virtual std::vector<KvGroup> kv_groups() const = 0;
  virtual int threads() const = 0;
  // The workers, for what the engine does between two steps; null: there are none.
  virtual ThreadPool* pool() { return nullptr; }
  virtual MemoryReport memory() const = 0;
  virtual PackCacheReport pack_cache() const { return {}; }
  // The ops in order, with what each costs for this batch, or for one decoded token without history.
  virtual std::vector<OpReport> report(const Batch& batch) const = 0;
  std::vector<OpReport> report() const;
  // While not null, each execute() writes when every op of report() began and ended, [threads, ops, 2] in ns of the
  // steady clock, 0 for a thread that took no part. An op has ended when all threads have; what is in no op is waiting
  // at barriers.
  virtual void time_ops(std::vector<int64_t>* stamps_ns) { (void)stamps_ns; }

 private:
  const Batch* submitted_ = nullptr;
};

// Tokens of a block where nothing is said: 16, and more where its states would outweigh its keys and values, up to 512.
int64_t default_block_tokens(const Program& program, Format kv_format);
// Bytes of cache that one token takes in all layers: its keys and values, and its part of its block's states.
uint64_t kv_bytes_per_token(const Program& program, Format kv_format, int64_t block_tokens);

// Keeps `checkpoint` alive while weights are used where they lie. Throws when a weight is missing or has another shape,
// a shape has no kernel, or memory is short.
std::unique_ptr<Runner> make_cpu_runner(std::shared_ptr<const Checkpoint> checkpoint, const ModelConfig& config,
                                        const Program& lowered, const RunnerOptions& options);

}  // namespace tern
