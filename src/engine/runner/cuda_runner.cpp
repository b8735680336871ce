// The CUDA side of the engine: the lowered program as launches on one stream. A step of decoding sequences whose number
// fits a bucket replays a captured graph; every other step launches the same program.
#include "engine/runner/cuda_runner.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "core/error.h"
#include "engine/runner/cuda_steps.h"
#include "engine/runner/cuda_weights.h"
#include "engine/runner/gpu_support.h"
#include "model/passes/passes.h"
#include "model/rope_table.h"

namespace tern {
namespace {

// Numbers of sequences for which decoding steps are captured: padding costs little where reading the weights decides.
constexpr int64_t kGraphBuckets[] = {1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256};
// What stays free for what the driver and libraries take later (modules, cuBLASLt's own).
constexpr uint64_t kSpareBytes = 512ull << 20;

class CudaRunner final : public Runner {
 public:
  CudaRunner(std::shared_ptr<const Checkpoint> checkpoint, const ModelConfig& config, const Program& lowered,
             const RunnerOptions& options, const CudaOptions& cuda);
  ~CudaRunner() override { device_.synchronize(); }

  std::span<const float> execute(const Batch& batch) override;
  std::vector<KvGroup> kv_groups() const override;
  int threads() const override { return pool_.size(); }
  ThreadPool* pool() override { return &pool_; }
  MemoryReport memory() const override { return memory_; }
  std::vector<OpReport> report(const Batch& batch) const override;

 private:
  void bind_rope(const ModelConfig& config);
  std::unique_ptr<CudaStep> bind_step(const Op& op);
  std::unique_ptr<CudaStep> bind_linear(const Op& op);
  std::unique_ptr<CudaStep> bind_norm(const Op& op);
  void reserve_kv(uint64_t budget);
  CudaKv kv_of(const Op& op) const;
  CudaPlace in(const Op& op, size_t i) const { return arena_.place(op.inputs[i]); }
  CudaPlace out(const Op& op, size_t i) const { return arena_.place(op.outputs[i]); }

  void copy_blocks(const Batch& batch);
  int64_t bucket_of(const Batch& batch) const;
  void run_steps(const CudaStepContext& context) const;
  void run_step(const CudaStepContext& context, int64_t bucket, bool plain);

  std::shared_ptr<const Checkpoint> checkpoint_;
  WeightMap weight_map_;
  Program program_;
  RunnerOptions options_;
  ThreadPool pool_;
  CudaDevice device_;
  CudaMatmul matmul_;
  CudaArena arena_;
  CudaWeights weights_;
  const float *cos_ = nullptr, *sin_ = nullptr;
  CudaMemory kv_;
  int64_t kv_blocks_ = 0, block_bytes_ = 0;
  CudaAttention attention_;
  CudaInputs inputs_;
  std::vector<std::unique_ptr<CudaStep>> steps_;
  std::map<std::pair<int64_t, bool>, CudaGraph> graphs_;  // of a bucket, and whether attention is the plain one
  bool use_graphs_;
  PinnedMemory logits_;
  MemoryReport memory_;
};

CudaRunner::CudaRunner(std::shared_ptr<const Checkpoint> checkpoint, const ModelConfig& config, const Program& lowered,
                       const RunnerOptions& options, const CudaOptions& cuda)
    : checkpoint_(std::move(checkpoint)),
      weight_map_(*checkpoint_),
      program_(lowered),
      options_(options),
      pool_(options.threads, options.pool),
      device_(cuda.device),
      arena_(program_, options.max_batched_tokens, options.max_rows),
      weights_(weight_map_, pool_, device_.stream()),
      attention_(program_.attention, options, device_.capability()),
      inputs_({.tokens = options.max_batched_tokens,
               .rows = options.max_rows,
               .sequences = options.max_sequences,
               .table_stride = (options.max_model_len + options.block_tokens - 1) / options.block_tokens,
               .attention = attention_.limits()}),
      use_graphs_(cuda.graphs) {
  weight_map_.check(program_);
  if (const std::string refusal = cuda_refusal(program_); !refusal.empty()) {
    fail(ErrorCode::kFailed, "[cuda] " + config.architecture + " models are not run on GPUs yet: " + refusal);
  }
  const CacheGroup& cache = program_.caches[0];
  block_bytes_ = cache.heads_per_token() * cache.head_dim * 2 * options_.block_tokens;
  bind_rope(config);
  // Weights first, the cache into what they leave.
  steps_.resize(program_.ops.size());
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (program_.ops[i].kind == OpKind::kLinear) steps_[i] = bind_linear(program_.ops[i]);
  }
  const auto allowed = static_cast<uint64_t>(cuda.memory_share * static_cast<double>(device_.total_bytes()));
  const uint64_t used = device_.total_bytes() - device_.free_bytes() + kSpareBytes;
  reserve_kv(allowed > used ? allowed - used : 0);
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (steps_[i] == nullptr) steps_[i] = bind_step(program_.ops[i]);
  }
  weights_.finish();
  device_.synchronize();
  logits_ = PinnedMemory(static_cast<uint64_t>(options_.max_rows * program_.vocabulary) * sizeof(float), "logits");
  memory_ = {.packed_weights = weights_.bytes(),
             .mapped_weights = 0,
             .activations = arena_.bytes() + inputs_.bytes() + attention_.bytes(),
             .kv_pool = kv_.bytes()};
}

void CudaRunner::bind_rope(const ModelConfig& config) {
  const RopeTable table =
      rope_table(config.rope, rope_factors(*checkpoint_, config.rope, options_.max_model_len), options_.max_model_len);
  cos_ = weights_.floats(table.cos, "the rope table");
  sin_ = weights_.floats(table.sin, "the rope table");
}

std::unique_ptr<CudaStep> CudaRunner::bind_linear(const Op& op) {
  const CudaPlace from = in(op, 0), to = out(op, 0);
  const DecodeProductImpl* few = nullptr;
  for (int i = 0; i < kDecodeProductSm90.count && device_.capability() == 90; ++i) {
    const DecodeProductImpl& row = kDecodeProductSm90.rows[i];
    const bool fits = row.weight == DecodeWeight::kBf16 && row.supports({to.cols, from.cols, row.weight});
    if (few == nullptr && fits) few = &row;
  }
  return std::make_unique<CudaLinearStep>(matmul_, few, weights_.matrix(op.weights),
                                          weights_.biases(op.biases, op.weights), from, to);
}

std::unique_ptr<CudaStep> CudaRunner::bind_norm(const Op& op) {
  const bool alone = op.kind == OpKind::kRmsNorm;
  return std::make_unique<CudaNormStep>(weights_.vector(op.weights[0]), op.eps, in(op, 0),
                                        alone ? CudaPlace{} : in(op, 1), alone ? CudaPlace{} : out(op, 0),
                                        out(op, alone ? 0 : 1));
}

std::unique_ptr<CudaStep> CudaRunner::bind_step(const Op& op) {
  switch (op.kind) {
    case OpKind::kEmbed:
      return std::make_unique<CudaEmbedStep>(weights_.matrix(op.weights), out(op, 0));
    case OpKind::kSelectRows:
      return std::make_unique<CudaSelectRowsStep>(in(op, 0), out(op, 0));
    case OpKind::kRmsNorm:
    case OpKind::kAddRmsNorm:
      return bind_norm(op);
    case OpKind::kRopeKv:
      return std::make_unique<CudaRopeKvStep>(program_.attention, cos_, sin_, kv_of(op), in(op, 0), out(op, 0));
    case OpKind::kAttention:
      return std::make_unique<CudaAttentionStep>(attention_, kv_of(op), in(op, 0), out(op, 0));
    case OpKind::kGlu:
      return std::make_unique<CudaGluStep>(op.activation, in(op, 0), out(op, 0));
    default:
      break;
  }
  TERN_CHECK(false, std::string(name_of(op.kind)) + " is left unfused in the lowered program");
  return nullptr;
}

void CudaRunner::reserve_kv(uint64_t budget) {
  const int64_t wanted = (options_.kv_tokens + options_.block_tokens - 1) / options_.block_tokens;
  kv_blocks_ = std::min<int64_t>(wanted, static_cast<int64_t>(budget) / block_bytes_);
  // A captured launch addresses the pool by rows of at least 128 bytes with 31 bits.
  kv_blocks_ = std::min<int64_t>(kv_blocks_, ((int64_t{1} << 31) - 1) * 128 / block_bytes_);
  if (kv_blocks_ < 1) {
    fail(ErrorCode::kResource,
         fmt::format("[cuda] no memory is left for the KV cache: {:.1f} GB of {:.1f} GB may be used "
                     "(--gpu-memory-utilization), one block needs {:.1f} MB",
                     static_cast<double>(budget) / 1e9, static_cast<double>(device_.total_bytes()) / 1e9,
                     static_cast<double>(block_bytes_) / 1e6));
  }
  kv_ = CudaMemory(static_cast<uint64_t>(kv_blocks_ * block_bytes_), "the KV cache");
}

std::vector<KvGroup> CudaRunner::kv_groups() const {
  return {{static_cast<int32_t>(kv_blocks_), program_.caches[0].window}};
}

CudaKv CudaRunner::kv_of(const Op& op) const {
  const CacheGroup& group = program_.caches[0];
  const auto layer = std::find(group.layers.begin(), group.layers.end(), op.layer) - group.layers.begin();
  const int64_t half = group.kv_heads * group.head_dim * options_.block_tokens * 2;
  return {.view = {.pool = kv_.data(),
                   .blocks = kv_blocks_,
                   .block_bytes = block_bytes_,
                   .k_offset = layer * 2 * half,
                   .v_offset = layer * 2 * half + half,
                   .k_scales = nullptr,
                   .v_scales = nullptr},
          .block_tokens = static_cast<int32_t>(options_.block_tokens)};
}

void CudaRunner::copy_blocks(const Batch& batch) {
  for (const BlockCopy& copy : batch.copies) {
    copy_on_device(kv_.data() + copy.to * block_bytes_, kv_.data() + copy.from * block_bytes_,
                   static_cast<uint64_t>(block_bytes_), device_.stream());
  }
}

// How many tokens and rows a captured step for this batch has; 0: it is launched as it is.
int64_t CudaRunner::bucket_of(const Batch& batch) const {
  const auto count = static_cast<int64_t>(batch.slices[0].size());
  const bool decoding = static_cast<int64_t>(batch.tokens.size()) == count &&
                        static_cast<int64_t>(batch.wanted.size()) == count;  // one token each, all wanted
  if (!use_graphs_ || !decoding) return 0;
  const auto* bucket = std::lower_bound(std::begin(kGraphBuckets), std::end(kGraphBuckets), count);
  if (bucket == std::end(kGraphBuckets)) return 0;
  return *bucket <= std::min(options_.max_rows, options_.max_batched_tokens) ? *bucket : 0;
}

void CudaRunner::run_steps(const CudaStepContext& context) const {
  for (const auto& step : steps_) step->run(context);
}

void CudaRunner::run_step(const CudaStepContext& context, int64_t bucket, bool plain) {
  if (bucket == 0) return run_steps(context);
  CudaGraph& graph = graphs_[{bucket, plain}];
  if (!graph.ready()) {
    run_steps(context);  // what is loaded or chosen at a first launch is then there
    device_.synchronize();
    CudaGraph::begin(context.stream);
    run_steps(context);
    graph.end(context.stream);
  }
  graph.launch(context.stream);
}

std::span<const float> CudaRunner::execute(const Batch& batch) {
  const BatchShape shape = batch.shape();
  TERN_CHECK(shape.tokens <= options_.max_batched_tokens && shape.rows <= options_.max_rows);
  copy_blocks(batch);
  const CudaAttentionPlan& plan = attention_.plan(shape);
  const int64_t bucket = bucket_of(batch);
  const CudaStepContext context{.inputs = inputs_,
                                .tokens = bucket > 0 ? bucket : shape.tokens,
                                .rows = bucket > 0 ? bucket : shape.rows,
                                .stream = device_.stream(),
                                .overlap = true};
  inputs_.fill(batch, options_.block_tokens, context.tokens, context.rows, plan);
  inputs_.copy(device_.stream());
  run_step(context, bucket, plan.plain);
  const CudaPlace logits = arena_.place(program_.entries[0].result);
  const uint64_t count = static_cast<uint64_t>(shape.rows * logits.cols);
  if (count > 0) copy_to_host(logits_.data(), logits.data, count * sizeof(float), device_.stream());
  device_.synchronize();
  return {reinterpret_cast<const float*>(logits_.data()), count};
}

std::vector<OpReport> CudaRunner::report(const Batch& batch) const {
  return report_steps(program_, steps_, batch.shape());
}

}  // namespace

std::unique_ptr<Runner> make_cuda_runner(std::shared_ptr<const Checkpoint> checkpoint, const ModelConfig& config,
                                         const Program& lowered, const RunnerOptions& options,
                                         const CudaOptions& cuda) {
  return std::make_unique<CudaRunner>(std::move(checkpoint), config, lowered, options, cuda);
}

int count_gpus(std::string* reason) { return count_cuda_devices(reason); }

std::string gpu_pci_bus_id(int device) { return cuda_pci_bus_id(device); }

}  // namespace tern
