#include "engine/runner/cpu_executable.h"

#include <algorithm>
#include <string>

#include "core/error.h"

namespace tern {
namespace {

AttentionDesc attention_desc(const AttentionFacts& facts, const CacheGroup& group, float soft_cap, const float* sinks) {
  AttentionDesc desc{};
  desc.heads = static_cast<int32_t>(facts.heads);
  desc.kv_heads = static_cast<int32_t>(facts.kv_heads);
  desc.head_dim = static_cast<int32_t>(facts.head_dim);
  desc.scale = facts.scale;
  desc.window = group.window;
  desc.chunked = group.chunked;
  desc.soft_cap = soft_cap;
  desc.sinks = sinks;
  return desc;
}

WeightMap checked_weights(const Checkpoint& checkpoint, const Program& program) {
  WeightMap weights(checkpoint);
  weights.check(program);
  return weights;
}

GrowingRopeTable rope_of(const Checkpoint& checkpoint, const RopeConfig& rope, int64_t positions) {
  return {rope, rope_factors(checkpoint, rope, positions), positions};
}

bool uses_local_rope(const ModelConfig& config) {
  return std::any_of(config.layer_attention.begin(), config.layer_attention.end(),
                     [](const LayerAttention& layer) { return layer.rope == 1; });
}

}  // namespace

CpuExecutable::CpuExecutable(const Checkpoint& checkpoint, const ModelConfig& config, const Program& lowered,
                             const RunnerOptions& options, ThreadPool& pool)
    : weights_(checked_weights(checkpoint, lowered)),
      program_(lowered),
      options_(options),
      workers_(pool.size()),
      arena_(program_, options.max_batched_tokens, options.max_rows),
      kv_(program_, options.kv_format, options.kv_tokens, options.block_tokens),
      heads_(program_.attention.heads, program_.attention.kv_heads) {
  options_.max_model_len = std::min(options_.max_model_len, kv_.tokens());
  rope_ = rope_of(checkpoint, config.rope, options_.max_model_len);
  if (uses_local_rope(config)) local_rope_ = rope_of(checkpoint, config.local_rope, options_.max_model_len);
  both_ways_ = std::any_of(program_.ops.begin(), program_.ops.end(), [](const Op& op) { return !op.causal; });
  if (both_ways_) tokens_alone_.reserve(static_cast<size_t>(options_.max_batched_tokens));
  steps_.resize(program_.ops.size());
  bind_linears();
  reserve_workspace();
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (steps_[i] == nullptr) steps_[i] = bind_step(program_.ops[i]);
  }
  // Last: what the steps above read of the file is given back before the weights take its place.
  storage_.fill(checkpoint, options_.pack_cache, pool);
}

Attention CpuExecutable::attention(const CacheGroup& group, float soft_cap, const float* sinks) const {
  return {attention_desc(program_.attention, group, soft_cap, sinks), options_.kv_format, options_.kernels};
}

void CpuExecutable::reserve_workspace() {
  uint64_t bytes = 0;
  for (const Op& op : program_.ops) {
    if (op.kind != OpKind::kAttention) continue;
    const Attention kernel = attention(program_.caches[static_cast<size_t>(op.cache_group)], op.soft_cap);
    bytes = std::max(bytes, kernel.workspace_bytes(options_.max_model_len, workers_));
  }
  attention_workspace_ = Buffer(bytes, "kernel workspace");
  const auto experts =
      std::find_if(program_.ops.begin(), program_.ops.end(), [](const Op& op) { return op.kind == OpKind::kExperts; });
  if (experts != program_.ops.end()) {
    const WeightUse& gate = experts->weights[0];
    expert_visits_.reserve(std::max(options_.max_batched_tokens, options_.max_rows), experts->route, gate.cols,
                           gate.rows, workers_);
  }
  bytes = head_workspace_bytes_;
  for (const PackedLinear& packed : linears_) {
    bytes = std::max(bytes, packed.linear->workspace_bytes(options_.max_batched_tokens, workers_));
  }
  workspace_ = Buffer(bytes, "kernel workspace");
}

std::unique_ptr<CpuStep> CpuExecutable::bind_step(const Op& op) {
  switch (op.kind) {
    case OpKind::kEmbed:
      return bind_embed(op);
    case OpKind::kHidden:
      return std::make_unique<HiddenStep>(place_out(op, 0));
    case OpKind::kAdd:
      return std::make_unique<PointwiseStep>(op, place_in(op, 0), place_in(op, 1), place_out(op, 0));
    case OpKind::kScale:
    case OpKind::kSoftCap:
      return std::make_unique<PointwiseStep>(op, place_in(op, 0), Place{}, place_out(op, 0));
    case OpKind::kPositionScale:
      return std::make_unique<PositionScaleStep>(op.scale, op.scale_length, place_in(op, 0), place_out(op, 0));
    case OpKind::kRoute:
      return std::make_unique<RouteStep>(op.route,
                                         op.weights.empty() ? std::vector<float>{} : weights_.vector(op.weights[0]),
                                         place_in(op, 0), place_out(op, 0));
    case OpKind::kShortConv:
      return std::make_unique<ShortConvStep>(decode_tensor(weights_.tensor(op.weights[0])), kv_.state(op),
                                             static_cast<size_t>(op.cache_group), place_in(op, 0), place_out(op, 0));
    case OpKind::kHeadColumns:
      return std::make_unique<HeadColumnsStep>(op.head_columns, place_in(op, 0), place_out(op, 0));
    case OpKind::kSigmoidGate:
      return std::make_unique<SigmoidGateStep>(op.head_columns, place_in(op, 0), place_in(op, 1), place_out(op, 0));
    case OpKind::kGatedDelta:
      return bind_gated_delta(op);
    case OpKind::kLatentKey:
      return std::make_unique<LatentKeyStep>(RmsNorm(options_.kernels), weights_.vector(op.weights[0]), op.eps,
                                             place_in(op, 0), place_out(op, 0));
    case OpKind::kActivation:
      return std::make_unique<ActivationStep>(Glu(op.activation, options_.kernels), place_in(op, 0), place_out(op, 0));
    case OpKind::kSelectRows:
      return std::make_unique<SelectRowsStep>(place_in(op, 0), place_out(op, 0));
    case OpKind::kRmsNorm:
    case OpKind::kAddRmsNorm:
      return bind_norm(op);
    case OpKind::kRopeKv:
      return bind_rope_kv(op);
    case OpKind::kAttention:
      return bind_attention(op);
    case OpKind::kGlu:
      return bind_glu(op);
    default:
      break;
  }
  TERN_CHECK(false, std::string(name_of(op.kind)) + " is left unfused in the lowered program");
  return nullptr;
}

std::unique_ptr<CpuStep> CpuExecutable::bind_gated_delta(const Op& op) const {
  GatedDeltaStep::Inputs in{.qkv = place_in(op, 0), .z = {}, .ba = place_in(op, op.inputs.size() - 1)};
  if (op.inputs.size() == 3) in.z = place_in(op, 1);
  return std::make_unique<GatedDeltaStep>(op.delta, GatedDeltaStep::Weights(weights_, op), op.eps, kv_.state(op),
                                          static_cast<size_t>(op.cache_group), in, place_out(op, 0));
}

std::unique_ptr<CpuStep> CpuExecutable::bind_embed(const Op& op) const {
  // A type's row is the same for all tokens, so it is added to the positions' rows.
  std::vector<float> positions, type;
  for (const WeightUse& use : std::span(op.weights).subspan(1)) {
    (use.role == Role::kPositions ? positions : type) = decode_tensor(weights_.tensor(use));
  }
  for (size_t i = 0; !type.empty() && i < positions.size(); ++i) positions[i] += type[i % type.size()];
  return std::make_unique<EmbedStep>(weights_.tensor(op.weights[0]), tied_head_, op.scale, std::move(positions),
                                     place_out(op, 0));
}

std::unique_ptr<NormStep> CpuExecutable::bind_norm(const Op& op) const {
  const bool alone = op.kind == OpKind::kRmsNorm;
  NormStep::Facts facts{weights_.vector(op.weights[0]), {}, op.eps, op.centered};
  if (!op.biases.empty()) facts.bias = weights_.vector(op.biases[0]);
  return std::make_unique<NormStep>(RmsNorm(options_.kernels), std::move(facts), place_in(op, 0),
                                    alone ? Place{} : place_in(op, 1), alone ? Place{} : place_out(op, 0),
                                    place_out(op, alone ? 0 : 1));
}

std::unique_ptr<AttentionStep> CpuExecutable::bind_attention(const Op& op) {
  const auto at = program_.ops.begin() + (&op - program_.ops.data()) + 1;
  const auto layers =
      std::count_if(program_.ops.begin(), at, [](const Op& before) { return before.kind == OpKind::kAttention; });
  const CacheGroup& group = program_.caches[static_cast<size_t>(op.cache_group)];
  const float* sinks = nullptr;
  if (!op.weights.empty()) sinks = sinks_.emplace_back(weights_.vector(op.weights[0])).data();
  return std::make_unique<AttentionStep>(attention(group, op.soft_cap, sinks), op.causal, kv_.place(op),
                                         place_in(op, 0), place_out(op, 0), op.by_head ? &heads_ : nullptr,
                                         static_cast<uint32_t>(layers));
}

std::unique_ptr<RopeKvStep> CpuExecutable::bind_rope_kv(const Op& op) {
  AttentionFacts facts = program_.attention;
  if (op.rope < 0) facts.rope_dims = 0;
  RopeKvStep::Inputs in{.q = place_in(op, 0), .k = {}, .v = {}, .q_norm = {}, .k_norm = {}, .norm_eps = op.eps};
  if (op.inputs.size() == 3) {
    in.k = place_in(op, 1);
    in.v = place_in(op, 2);
  }
  if (!op.weights.empty()) {
    in.q_norm = weights_.vector(op.weights[0]);
    in.k_norm = weights_.vector(op.weights[1]);
  }
  const RopeTable& table = op.rope == 1 ? local_rope_.table() : rope_.table();
  return std::make_unique<RopeKvStep>(RopeKv(options_.kv_format, options_.kernels), facts, table, kv_.place(op),
                                      std::move(in), place_out(op, 0), heads_);
}

std::unique_ptr<GluStep> CpuExecutable::bind_glu(const Op& op) const {
  return std::make_unique<GluStep>(Glu(op.activation, options_.kernels), place_in(op, 0), place_out(op, 0));
}

StepContext CpuExecutable::begin(const Batch& batch) {
  heads_.reset();
  for (const SequenceSlice& slice : batch.slices[0]) {
    rope_.cover(slice.history_len + slice.query_len);
    if (local_rope_.most_floats() > 0) local_rope_.cover(slice.history_len + slice.query_len);
  }
  tokens_alone_.clear();
  for (const SequenceSlice& slice : batch.slices[0]) {
    TERN_CHECK(!both_ways_ || slice.history_len == 0);
    for (int32_t t = 0; both_ways_ && t < slice.query_len; ++t) {
      tokens_alone_.push_back({slice.query_begin + t, 1, slice.query_len - 1, slice.block_table});
    }
  }
  return {batch, batch.shape(), workspace_.data(), attention_workspace_.data(), tokens_alone_};
}

std::span<const float> CpuExecutable::result(const BatchShape& shape) const {
  const Place result = arena_.place(program_.entries[0].result);
  return {result.data, static_cast<size_t>(count_of(result, shape) * result.cols)};
}

std::span<const float> CpuExecutable::block_maxima(int64_t rows) const {
  if (maxima_.empty()) return {};
  return {maxima_.data(), static_cast<size_t>(rows) * vocabulary_blocks()};
}

MemoryReport CpuExecutable::memory() const {
  return {.packed_weights = storage_.packed_bytes(),
          .mapped_weights = storage_.mapped_bytes(),
          .activations = arena_.bytes() + expert_visits_.bytes() + workspace_.bytes() + attention_workspace_.bytes() +
                         (rope_.most_floats() + local_rope_.most_floats() + maxima_.size()) * sizeof(float),
          .kv_pool = kv_.bytes()};
}

}  // namespace tern
