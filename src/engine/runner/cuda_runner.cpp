// The CUDA side of the engine: the lowered program as launches on one stream. A step of decoding sequences whose number
// fits a bucket replays a captured graph; every other step launches the same program.
#include "engine/runner/cuda_runner.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "core/clock.h"
#include "core/error.h"
#include "engine/runner/cuda_draws.h"
#include "engine/runner/cuda_experts.h"
#include "engine/runner/cuda_gaps.h"
#include "engine/runner/cuda_kv_pool.h"
#include "engine/runner/cuda_linear.h"
#include "engine/runner/cuda_steps.h"
#include "engine/runner/cuda_weights.h"
#include "engine/runner/gpu_fusions.h"
#include "engine/runner/gpu_support.h"
#include "model/passes/passes.h"
#include "model/rope_table.h"

namespace tern {
namespace {

// Numbers of sequences for which decoding steps are captured: padding costs little where reading the weights decides.
constexpr int64_t kGraphBuckets[] = {1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256};
// Steps in flight: the next is enqueued while the last runs.
constexpr int kDepth = CudaStepGaps::kDepth;

class CudaRunner final : public Runner {
 public:
  CudaRunner(std::shared_ptr<const Checkpoint> checkpoint, const ModelConfig& config, const Program& lowered,
             const RunnerOptions& options, const CudaOptions& cuda);
  ~CudaRunner() override { device_.drain(); }

  std::span<const float> execute(const Batch& batch) override;
  int depth() const override { return kDepth; }
  bool draws(const SamplingParams& params, int32_t logprobs) const override { return draws_.draws(params, logprobs); }
  int64_t count_slots() const override { return draws_.slots(); }
  void submit(const Batch& batch) override;
  StepResult finish() override;
  std::vector<KvGroup> kv_groups() const override { return kv_.groups(); }
  int threads() const override { return pool_.size(); }
  ThreadPool* pool() override { return &pool_; }
  MemoryReport memory() const override { return memory_; }
  std::vector<OpReport> report(const Batch& batch) const override;
  GpuReport gpu_report() const;

 private:
  GpuFusions find_fusions(bool wanted) const;
  DecodeWeight weight_of(const Op& op, bool to_f32) const;
  void join_steps();
  void bind_attention();
  void bind_rope(const RopeConfig& config, size_t which);
  std::unique_ptr<CudaStep> bind_step(const Op& op);
  std::unique_ptr<CudaStep> bind_linear(const Op& op);
  std::unique_ptr<CudaStep> bind_norm(const Op& op);
  std::unique_ptr<CudaStep> bind_rope_kv(const Op& op);
  std::unique_ptr<CudaStep> bind_experts(const Op& op);
  CudaPlace in(const Op& op, size_t i) const { return arena_.place(op.inputs[i]); }
  CudaPlace out(const Op& op, size_t i) const { return arena_.place(op.outputs[i]); }

  void bring_back(const Batch& batch, CudaDrawing drawing);
  int64_t bucket_of(const Batch& batch) const;
  void run_steps(const CudaStepContext& context, CudaDrawing drawing) const;
  void run_step(const CudaStepContext& context, int64_t bucket, uint64_t plain, CudaDrawing drawing);

  int64_t begin_ns_ = SteadyClock().now_ns(), weights_ns_ = 0, start_ns_ = 0;
  std::shared_ptr<const Checkpoint> checkpoint_;
  WeightMap weight_map_;
  Program program_;
  RunnerOptions options_;
  ThreadPool pool_;
  CudaDevice device_;
  CudaOptions cuda_;
  GpuFusions fusions_;
  CudaProducts products_;
  CudaVisits visits_;
  CudaArena arena_;
  CudaWeights weights_;
  struct Rotation {
    const float *cos = nullptr, *sin = nullptr;
  };
  std::array<Rotation, 2> rotations_;  // the model's, and that of its local layers
  CudaKvPool kv_;
  std::vector<CudaAttention> attention_;         // [cache groups]
  std::vector<const CudaAttentionPlan*> plans_;  // of a step
  CudaInputs inputs_;
  std::vector<std::unique_ptr<CudaStep>> steps_;
  // Of a bucket, of the cache groups whose attention is the plain one, a bit each, and of what is drawn.
  std::map<std::tuple<int64_t, uint64_t, CudaDrawing>, CudaGraph> graphs_;
  bool use_graphs_;
  CudaDraws draws_;
  // What a step in flight brings back.
  struct Flight {
    PinnedMemory logits;
    uint64_t logit_count = 0;
    CudaEvent done;
  };
  std::array<Flight, kDepth> flights_;
  uint64_t submitted_ = 0, finished_ = 0;
  CudaStepGaps gaps_;
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
      cuda_(cuda),
      fusions_(find_fusions(cuda.fuses())),
      products_(cuda.deterministic),
      arena_(program_, plan_memory(with_fused_lifetimes(program_, fusions_)), options.max_batched_tokens,
             options.max_rows),
      weights_(weight_map_, pool_, device_.stream()),
      kv_(program_, cuda_kv_format(options.kv_format), options.block_tokens),
      use_graphs_(cuda.graphs) {
  weight_map_.check(program_);
  if (const std::string refusal = cuda_refusal(program_); !refusal.empty()) {
    fail(ErrorCode::kFailed, "[cuda] " + config.architecture + " models are not run on GPUs yet: " + refusal);
  }
  bind_attention();
  bind_rope(config.rope, 0);
  bind_rope(config.local_rope, 1);
  // Weights first, the cache into what they leave.
  const int64_t weights_ns = SteadyClock().now_ns();
  steps_.resize(program_.ops.size());
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (program_.ops[i].kind == OpKind::kLinear) steps_[i] = bind_linear(program_.ops[i]);
    if (program_.ops[i].kind == OpKind::kExperts) steps_[i] = bind_experts(program_.ops[i]);
    if (program_.ops[i].kind == OpKind::kEmbed) steps_[i] = bind_step(program_.ops[i]);
  }
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (fusions_.norm[i] >= 0) products_.need_squares(program_.ops[i].inputs[0].cols);
  }
  device_.synchronize();
  weights_ns_ = SteadyClock().now_ns() - weights_ns;
  products_.reserve();
  visits_.reserve();
  draws_ = CudaDraws(program_.vocabulary, options_.max_rows, options_.max_sequences, kDepth);
  kv_.reserve(options_.kv_tokens, device_.free_of_share(cuda.memory_share), device_.total_bytes());
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (steps_[i] == nullptr) steps_[i] = bind_step(program_.ops[i]);
  }
  join_steps();
  weights_.finish();
  device_.synchronize();
  const auto rows = static_cast<uint64_t>(options_.max_rows);
  for (Flight& flight : flights_) {
    flight.logits = PinnedMemory(rows * static_cast<uint64_t>(program_.vocabulary) * sizeof(float), "logits");
  }
  uint64_t attention_bytes = 0;
  for (const CudaAttention& attention : attention_) attention_bytes += attention.bytes();
  memory_ = {.packed_weights = weights_.bytes(),
             .mapped_weights = 0,
             .activations = arena_.bytes() + inputs_.bytes() + attention_bytes + products_.bytes() + visits_.bytes(),
             .draws = draws_.bytes(),
             .kv_pool = kv_.bytes()};
  start_ns_ = SteadyClock().now_ns() - begin_ns_;
}

DecodeWeight CudaRunner::weight_of(const Op& op, bool to_f32) const {
  std::vector<const TensorInfo*> parts;
  for (const WeightUse& part : op.weights) parts.push_back(&weight_map_.tensor(part));
  return choose_weight(parts, to_f32, cuda_, device_.capability());
}

GpuFusions CudaRunner::find_fusions(bool wanted) const {
  if (!wanted) return no_gpu_fusions(program_);
  const std::vector<bool> f32 = f32_buffers(program_);
  return find_gpu_fusions(program_, cuda_kv_format(options_.kv_format), [&](const Op& op) {
    if (f32[static_cast<size_t>(op.outputs[0].buffer)]) return false;
    const DecodeWeight weight = weight_of(op, false);
    if (weight == DecodeWeight::kFp8Block) return false;  // its scales are of tiles side by side
    return has_few_product({op.outputs[0].cols, op.inputs[0].cols, weight}, device_.capability());
  });
}

void CudaRunner::join_steps() {
  const auto product = [&](size_t op) -> CudaLinearStep& { return static_cast<CudaLinearStep&>(*steps_[op]); };
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (fusions_.product[i] >= 0) {
      product(static_cast<size_t>(fusions_.product[i])).join(static_cast<CudaTailStep&>(*steps_[i]));
    }
    if (fusions_.norm[i] >= 0) product(i).divide(program_.ops[static_cast<size_t>(fusions_.norm[i])].eps);
  }
}

void CudaRunner::bind_attention() {
  std::vector<CudaAttentionLimits> limits;
  for (size_t group = 0; group < program_.caches.size(); ++group) {
    attention_.emplace_back(program_, group, options_, device_.capability(), cuda_.deterministic);
    limits.push_back(attention_.back().limits());
  }
  inputs_ = CudaInputs({.tokens = options_.max_batched_tokens,
                        .rows = options_.max_rows,
                        .sequences = options_.max_sequences,
                        .table_stride = (options_.max_model_len + options_.block_tokens - 1) / options_.block_tokens,
                        .attention = limits});
}

void CudaRunner::bind_rope(const RopeConfig& config, size_t which) {
  const bool used = std::any_of(program_.ops.begin(), program_.ops.end(), [&](const Op& op) {
    return op.kind == OpKind::kRopeKv && op.rope == static_cast<int32_t>(which);
  });
  if (!used) return;
  const RopeTable table =
      rope_table(config, rope_factors(*checkpoint_, config, options_.max_model_len), options_.max_model_len);
  rotations_[which] = {weights_.floats(table.cos, "the rope table"), weights_.floats(table.sin, "the rope table")};
}

std::unique_ptr<CudaStep> CudaRunner::bind_linear(const Op& op) {
  const CudaPlace from = in(op, 0), to = out(op, 0);
  const DecodeWeight as = weight_of(op, to.f32);
  const int64_t most = from.rows == RowCount::kTokens ? options_.max_batched_tokens : options_.max_rows;
  if (as == DecodeWeight::kFp8Channel) products_.need_fp8(most, from.cols);
  if (is_w4(as)) products_.need_w4();
  const bool decoded = as == DecodeWeight::kFp8Block || (is_w4(as) && most >= kW4DecodedTokens);
  if (decoded) products_.need_matrix(to.cols, from.cols);
  return std::make_unique<CudaLinearStep>(products_, weights_.matrix(op.weights, as),
                                          weights_.biases(op.biases, op.weights), from, to, device_.capability());
}

std::unique_ptr<CudaStep> CudaRunner::bind_norm(const Op& op) {
  const float* weight = weights_.vector(op.weights[0]);
  const CudaPlace from = in(op, 0), none{};
  if (op.kind == OpKind::kAddRmsNorm) {
    return std::make_unique<CudaNormStep>(weight, op.eps, from, in(op, 1), out(op, 0), out(op, 1));
  }
  return std::make_unique<CudaNormStep>(weight, op.eps, from.f32 ? from : none, from.f32 ? none : from, none,
                                        out(op, 0));
}

std::unique_ptr<CudaStep> CudaRunner::bind_rope_kv(const Op& op) {
  AttentionFacts facts = program_.attention;
  if (op.rope < 0) facts.rope_dims = 0;
  const Rotation rotation = op.rope < 0 ? Rotation{} : rotations_[static_cast<size_t>(op.rope)];
  CudaRopeKvStep::Weights weights{.cos = rotation.cos, .sin = rotation.sin, .norm_eps = op.eps};
  if (!op.weights.empty()) {
    weights.q_norm = weights_.vector(op.weights[0]);
    weights.k_norm = weights_.vector(op.weights[1]);
  }
  return std::make_unique<CudaRopeKvStep>(facts, weights, kv_.place(op), in(op, 0), out(op, 0));
}

std::unique_ptr<CudaStep> CudaRunner::bind_experts(const Op& op) {
  const CudaPlace x = in(op, 0);
  const int64_t ffn = op.weights[2].cols;
  visits_.need(options_.max_batched_tokens, op.route, x.cols, ffn);
  const std::span<const WeightUse> weights(op.weights);
  return std::make_unique<CudaExpertsStep>(
      op.route, op.activation,
      CudaExpertsStep::Weights{weights_.experts(weights.first(2)), weights_.experts(weights.subspan(2, 1))}, visits_, x,
      in(op, 1), out(op, 0), ffn);
}

std::unique_ptr<CudaStep> CudaRunner::bind_step(const Op& op) {
  switch (op.kind) {
    case OpKind::kEmbed:
      return std::make_unique<CudaEmbedStep>(weights_.matrix(op.weights).data, op.scale, out(op, 0));
    case OpKind::kHidden:
      return std::make_unique<CudaHiddenStep>(out(op, 0));
    case OpKind::kSelectRows:
      return std::make_unique<CudaSelectRowsStep>(in(op, 0), out(op, 0));
    case OpKind::kRmsNorm:
    case OpKind::kAddRmsNorm:
      return bind_norm(op);
    case OpKind::kRopeKv:
      return bind_rope_kv(op);
    case OpKind::kAttention:
      return std::make_unique<CudaAttentionStep>(attention_[static_cast<size_t>(op.cache_group)], kv_.place(op),
                                                 in(op, 0), out(op, 0));
    case OpKind::kRoute:
      return std::make_unique<CudaRouteStep>(op.route, in(op, 0), out(op, 0));
    case OpKind::kScale:
      return std::make_unique<CudaPointwiseStep>(op.scale, 0.0f, in(op, 0), out(op, 0));
    case OpKind::kSoftCap:
      return std::make_unique<CudaPointwiseStep>(1.0f, op.soft_cap, in(op, 0), out(op, 0));
    case OpKind::kGlu:
      return std::make_unique<CudaGluStep>(op.activation, in(op, 0), out(op, 0));
    default:
      break;
  }
  TERN_CHECK(false, std::string(name_of(op.kind)) + " is left unfused in the lowered program");
  return nullptr;
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

void CudaRunner::run_steps(const CudaStepContext& context, CudaDrawing drawing) const {
  for (const auto& step : steps_) step->run(context);
  if (drawing.any) draws_.run(context, arena_.place(program_.entries[0].result).floats(), drawing);
}

void CudaRunner::run_step(const CudaStepContext& context, int64_t bucket, uint64_t plain, CudaDrawing drawing) {
  if (bucket == 0) return run_steps(context, drawing);
  CudaGraph& graph = graphs_[{bucket, plain, drawing}];
  if (!graph.ready()) {
    run_steps(context, {});  // what is loaded or chosen at a first launch is then there
    device_.synchronize();
    CudaGraph::begin(context.stream);
    run_steps(context, drawing);
    graph.end(context.stream);
  }
  graph.launch(context.stream);
}

void CudaRunner::submit(const Batch& batch) {
  const BatchShape shape = batch.shape();
  TERN_CHECK(shape.tokens <= options_.max_batched_tokens && shape.rows <= options_.max_rows);
  TERN_CHECK(submitted_ - finished_ < kDepth);
  kv_.copy_blocks(batch.copies, device_.stream());
  plans_.clear();
  uint64_t plain = 0;
  for (size_t group = 0; group < attention_.size(); ++group) {
    plans_.push_back(&attention_[group].plan(batch.shape(group)));
    plain |= uint64_t{plans_.back()->plain} << group;
  }
  const int64_t bucket = bucket_of(batch);
  const CudaStepContext context{.inputs = inputs_,
                                .drawn = draws_.tokens(),
                                .tokens = bucket > 0 ? bucket : shape.tokens,
                                .rows = bucket > 0 ? bucket : shape.rows,
                                .stream = device_.stream(),
                                .overlap = true};
  inputs_.fill(batch, options_.block_tokens, context.tokens, context.rows, plans_);
  inputs_.copy(device_.stream());
  draws_.fill_counts(batch.counted, device_.stream());
  if (program_.ops[0].kind == OpKind::kHidden) {
    copy_to_device(out(program_.ops[0], 0).data, batch.hidden.data(), batch.hidden.size_bytes(), device_.stream());
  }
  const CudaDrawing drawing = CudaDrawing::of(batch);
  gaps_.begin(context.stream);
  run_step(context, bucket, plain, drawing);
  gaps_.end(context.stream);
  bring_back(batch, drawing);
}

void CudaRunner::bring_back(const Batch& batch, CudaDrawing drawing) {
  const size_t turn = submitted_++ % kDepth;
  Flight& flight = flights_[turn];
  const CudaPlace logits = arena_.place(program_.entries[0].result);
  const auto rows = static_cast<uint64_t>(batch.shape().rows);
  flight.logit_count = batch.logits_wanted ? rows * static_cast<uint64_t>(logits.cols) : 0;
  if (flight.logit_count > 0) {
    copy_to_host(flight.logits.data(), logits.data, flight.logit_count * sizeof(float), device_.stream());
  }
  draws_.bring_back(turn, batch.shape().rows, drawing, device_.stream());
  flight.done.record(device_.stream());
}

StepResult CudaRunner::finish() {
  TERN_CHECK(finished_ < submitted_);
  const size_t turn = finished_++ % kDepth;
  const Flight& flight = flights_[turn];
  flight.done.wait();
  gaps_.finished();
  StepResult result{.logits = {reinterpret_cast<const float*>(flight.logits.data()), flight.logit_count}, .tokens = {}};
  draws_.result(turn, result);
  return result;
}

std::span<const float> CudaRunner::execute(const Batch& batch) {
  submit(batch);
  return finish().logits;
}

std::vector<OpReport> CudaRunner::report(const Batch& batch) const {
  return report_steps(program_, steps_, batch.shape());
}

GpuReport CudaRunner::gpu_report() const {
  return {.weight_bytes = weights_.bytes(),
          .weights_s = static_cast<double>(weights_ns_) / 1e9,
          .others_s = static_cast<double>(start_ns_ - weights_ns_) / 1e9,
          .step_gap_us = gaps_.median_us()};
}

}  // namespace

std::optional<GpuReport> gpu_report(const Runner& runner) {
  const auto* gpu = dynamic_cast<const CudaRunner*>(&runner);
  return gpu == nullptr ? std::nullopt : std::optional(gpu->gpu_report());
}

std::unique_ptr<Runner> make_cuda_runner(std::shared_ptr<const Checkpoint> checkpoint, const ModelConfig& config,
                                         const Program& lowered, const RunnerOptions& options,
                                         const CudaOptions& cuda) {
  return std::make_unique<CudaRunner>(std::move(checkpoint), config, lowered, options, cuda);
}

int count_gpus(std::string* reason) { return count_cuda_devices(reason); }

std::string gpu_pci_bus_id(int device) { return cuda_pci_bus_id(device); }

}  // namespace tern
