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

// From the last op to the first: the order of the matrices in the arena, and so in sidecars.
void CpuExecutable::bind_linears() {
  for (size_t i = program_.ops.size(); i-- > 0;) {
    if (program_.ops[i].kind == OpKind::kLinear) steps_[i] = bind_linear(program_.ops[i]);
    if (program_.ops[i].kind == OpKind::kExperts) steps_[i] = bind_experts(program_.ops[i]);
    if (program_.ops[i].kind == OpKind::kHeadProduct) steps_[i] = bind_head_product(program_.ops[i]);
  }
}

std::unique_ptr<CpuStep> CpuExecutable::bind_linear(const Op& op) {
  PackedLinear& packed = linears_.emplace_back();
  std::vector<LinearPart> parts;
  std::vector<const TensorInfo*> tensors;
  std::string name;
  packed.biases.resize(op.weights.size());
  for (size_t i = 0; i < op.weights.size(); ++i) {
    const TensorInfo& tensor = weights_.tensor(op.weights[i]);
    if (i < op.biases.size() && op.biases[i].role != Role::kNone) packed.biases[i] = weights_.vector(op.biases[i]);
    const float* bias = packed.biases[i].empty() ? nullptr : packed.biases[i].data();
    parts.push_back({tensor.format, op.weights[i].rows, tensor.data.data(), bias});
    tensors.push_back(&tensor);
    name += (name.empty() ? "" : "+") + std::string(tensor.name);
  }
  packed.linear = std::make_unique<Linear>(std::move(name), op.weights[0].cols, std::move(parts), options_.kernels);
  storage_.add(*packed.linear, std::move(tensors));
  const Place out = place_out(op, 0);
  auto step = std::make_unique<LinearStep>(*packed.linear, place_in(op, 0), out, workers_);
  if (!op.prologue.empty()) step->set_prologue(bind_norm(op.prologue[0]));
  for (const Op& part : op.epilogue) {
    if (part.kind == OpKind::kRopeKv) step->set_epilogue(bind_rope_kv(part));
    if (part.kind == OpKind::kGlu) step->set_epilogue(bind_glu(part));
  }
  if (op.outputs[0].buffer == program_.entries[0].result.buffer) {
    maxima_.resize(static_cast<size_t>(options_.max_rows) * vocabulary_blocks());
    step->set_epilogue(std::make_unique<BlockMaximaStep>(RowScan(options_.kernels), out, maxima_.data()));
  }
  if (op.weights[0].role == Role::kTokenEmbedding) tied_head_ = packed.linear.get();
  return step;
}

// The product of an expert, or head, with `count` of the op's matrices, stacked.
const Linear* CpuExecutable::bind_expert(const Op& op, size_t first, size_t count, int64_t expert) {
  PackedLinear& packed = linears_.emplace_back();
  std::vector<LinearPart> parts;
  std::vector<const TensorInfo*> tensors;
  std::string name = std::string(op.kind == OpKind::kExperts ? "expert " : "head ") + std::to_string(expert) +
                     " of layer " + std::to_string(op.layer);
  packed.biases.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const WeightUse& use = op.weights[first + i];
    const TensorInfo& tensor = weights_.expert(use, expert);
    if (!op.biases.empty()) packed.biases[i] = weights_.vector(op.biases[first + i], expert);
    parts.push_back(
        {tensor.format, use.rows, tensor.data.data(), op.biases.empty() ? nullptr : packed.biases[i].data()});
    tensors.push_back(&tensor);
    name += ", " + std::string(tensor.name);
  }
  packed.linear = std::make_unique<Linear>(std::move(name), op.weights[first].cols, std::move(parts), options_.kernels);
  storage_.add(*packed.linear, std::move(tensors));
  return packed.linear.get();
}

std::unique_ptr<CpuStep> CpuExecutable::bind_experts(const Op& op) {
  std::vector<const Linear*> gate_up, down;
  for (int64_t e = 0; e < op.route.experts; ++e) {
    gate_up.push_back(bind_expert(op, 0, 2, e));
    down.push_back(bind_expert(op, 2, 1, e));
    expert_visits_.add(*gate_up.back());
    expert_visits_.add(*down.back());
  }
  return std::make_unique<ExpertsStep>(op.route, Glu(op.activation, options_.kernels), std::move(gate_up),
                                       std::move(down), place_in(op, 0), place_in(op, 1), place_out(op, 0),
                                       expert_visits_);
}

std::unique_ptr<CpuStep> CpuExecutable::bind_head_product(const Op& op) {
  std::vector<const Linear*> products;
  for (int64_t head = 0; head < op.head_columns.heads; ++head) products.push_back(bind_expert(op, 0, 1, head));
  head_workspace_bytes_ = std::max(
      head_workspace_bytes_, HeadProductStep::workspace_bytes(*products[0], options_.max_batched_tokens, workers_));
  return std::make_unique<HeadProductStep>(op.head_columns, std::move(products), place_in(op, 0), place_out(op, 0));
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
