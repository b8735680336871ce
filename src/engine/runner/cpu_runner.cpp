// Binds a lowered program to the CPU: chooses kernels, packs weights, plans memory, and runs steps on a team of
// threads.
#include <algorithm>
#include <cstring>

#include "core/checked.h"
#include "core/clock.h"
#include "core/error.h"
#include "engine/runner/cpu_steps.h"
#include "engine/runner/runner.h"
#include "engine/runner/weight_storage.h"
#include "quant/kv_format.h"

namespace tern {
namespace {

int64_t kv_bytes_per_token(const CacheGroup& group, Format kv_format) {
  return group.heads_per_token() * kv_head_bytes(kv_format, group.head_dim);
}

AttentionDesc attention_desc(const AttentionFacts& facts) {
  AttentionDesc desc{};
  desc.heads = static_cast<int32_t>(facts.heads);
  desc.kv_heads = static_cast<int32_t>(facts.kv_heads);
  desc.head_dim = static_cast<int32_t>(facts.head_dim);
  desc.scale = facts.scale;
  desc.window = facts.window;
  return desc;
}

// With many tokens the steps are run in parts, so that the pool can do without a worker whose processor is wanted
// before the whole program is through: a hundredth of a prompt's time is then lost to it, not a slice of the system's
// scheduler at each of its hundreds of waits. Few tokens are through in milliseconds.
constexpr int32_t kManyTokens = 32;
constexpr size_t kStepsOfARun = 10;  // two layers

class CpuRunner final : public Runner {
 public:
  CpuRunner(std::shared_ptr<const Checkpoint> checkpoint, const ModelConfig& config, const Program& lowered,
            const RunnerOptions& options);

  std::span<const float> execute(const Batch& batch) override;
  std::span<const float> block_maxima() const override { return block_maxima_; }
  std::vector<KvGroup> kv_groups() const override;
  int threads() const override { return pool_.size(); }
  ThreadPool* pool() override { return &pool_; }
  MemoryReport memory() const override { return memory_; }
  PackCacheReport pack_cache() const override { return storage_.report(); }
  std::vector<OpReport> report(const Batch& batch) const override;
  void time_ops(std::vector<int64_t>* stamps_ns) override;

 private:
  struct PackedLinear {
    std::unique_ptr<Linear> linear;
    std::vector<std::vector<float>> biases;
  };
  void bind_rope(const ModelConfig& config);
  void bind_linears();
  std::unique_ptr<CpuStep> bind_linear(const Op& op);
  void reserve_kv();
  void reserve_workspace(const Attention& attention);
  std::unique_ptr<CpuStep> bind_step(const Op& op);
  std::unique_ptr<NormStep> bind_norm(const Op& op) const;
  std::unique_ptr<RopeKvStep> bind_rope_kv(const Op& op);
  std::unique_ptr<AttentionStep> bind_attention(const Op& op);
  std::unique_ptr<GluStep> bind_glu(const Op& op) const;
  Place place_in(const Op& op, size_t i) const { return arena_.place(op.inputs[i]); }
  Place place_out(const Op& op, size_t i) const { return arena_.place(op.outputs[i]); }
  size_t vocabulary_blocks() const { return RowScan::blocks(static_cast<size_t>(program_.vocabulary)); }
  int64_t block_bytes(const CacheGroup& group) const;
  KvLayerView kv_view(const Op& op) const;
  void copy_blocks(const Batch& batch, const Team& team);
  void run_steps(const StepContext& context, size_t first, size_t end);

  std::shared_ptr<const Checkpoint> checkpoint_;
  WeightMap weights_;
  Program program_;
  RunnerOptions options_;
  ThreadPool pool_;
  CpuArena arena_;
  RopeTable rope_;
  HeadCounters heads_;
  std::vector<PackedLinear> linears_;
  WeightStorage storage_;
  const Linear* tied_head_ = nullptr;
  std::vector<Buffer> kv_;  // [cache groups]
  Buffer workspace_, attention_workspace_;
  std::vector<float> maxima_;  // [max_rows, blocks of the vocabulary]; empty when no product makes the logits
  std::span<const float> block_maxima_;
  int32_t kv_blocks_ = 0;
  std::vector<std::unique_ptr<CpuStep>> steps_;
  MemoryReport memory_;
  std::vector<int64_t>* stamps_ns_ = nullptr;
};

CpuRunner::CpuRunner(std::shared_ptr<const Checkpoint> checkpoint, const ModelConfig& config, const Program& lowered,
                     const RunnerOptions& options)
    : checkpoint_(std::move(checkpoint)),
      weights_(*checkpoint_),
      program_(lowered),
      options_(options),
      pool_(options.threads, options.pool),
      arena_(program_, options.max_batched_tokens, options.max_rows),
      heads_(program_.attention.heads, program_.attention.kv_heads) {
  // What can be refused is refused before weights are packed.
  weights_.check(program_);
  reserve_kv();
  options_.max_model_len = std::min(options_.max_model_len, kv_blocks_ * options_.block_tokens);
  const Attention attention(attention_desc(program_.attention), options_.kv_format, options_.kernels);
  bind_rope(config);
  steps_.resize(program_.ops.size());
  bind_linears();
  reserve_workspace(attention);
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (steps_[i] == nullptr) steps_[i] = bind_step(program_.ops[i]);
  }
  // Last: what the steps above read of the file is given back before the weights take its place.
  storage_.fill(*checkpoint_, options_.pack_cache, pool_);
  memory_.packed_weights = storage_.packed_bytes();
  memory_.mapped_weights = storage_.mapped_bytes();
  memory_.activations = arena_.bytes() + workspace_.bytes() + attention_workspace_.bytes() +
                        (2 * rope_.cos.size() + maxima_.size()) * sizeof(float);
  for (const Buffer& pool : kv_) memory_.kv_pool += pool.bytes();
}

void CpuRunner::bind_rope(const ModelConfig& config) {
  std::vector<float> factors;
  if (config.rope.scaling == RopeScaling::kFactors) {
    factors = decode_tensor(checkpoint_->tensor(tensor_name(Role::kRopeFactors, -1, checkpoint_->kind)));
  }
  rope_ = rope_table(config.rope, factors, options_.max_model_len);
}

// From the last op to the first: the output head is the largest matrix, and while a matrix is packed its file pages and
// its copy are both resident, so it goes first, when nothing else is.
void CpuRunner::bind_linears() {
  for (size_t i = program_.ops.size(); i-- > 0;) {
    if (program_.ops[i].kind == OpKind::kLinear) steps_[i] = bind_linear(program_.ops[i]);
  }
}

std::unique_ptr<CpuStep> CpuRunner::bind_linear(const Op& op) {
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
  auto step = std::make_unique<LinearStep>(*packed.linear, place_in(op, 0), out, pool_.size());
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

void CpuRunner::reserve_kv() {
  const int64_t blocks = (options_.kv_tokens + options_.block_tokens - 1) / options_.block_tokens;
  if (blocks < 1 || blocks > INT32_MAX)
    fail(ErrorCode::kResource, "[kv] a pool of " + std::to_string(blocks) + " blocks is not possible");
  kv_blocks_ = static_cast<int32_t>(blocks);
  for (const CacheGroup& group : program_.caches) {
    const Checked bytes = Checked(static_cast<uint64_t>(blocks)) * Checked(static_cast<uint64_t>(block_bytes(group)));
    kv_.emplace_back(bytes.value_or(UINT64_MAX), "the KV pool", PageHint::kHuge);
  }
}

std::vector<KvGroup> CpuRunner::kv_groups() const {
  std::vector<KvGroup> groups;
  for (const CacheGroup& group : program_.caches) groups.push_back({kv_blocks_, group.window});
  return groups;
}

int64_t CpuRunner::block_bytes(const CacheGroup& group) const {
  return kv_bytes_per_token(group, options_.kv_format) * options_.block_tokens;
}

KvLayerView CpuRunner::kv_view(const Op& op) const {
  const auto index = static_cast<size_t>(op.cache_group);
  const CacheGroup& group = program_.caches[index];
  const auto at = std::find(group.layers.begin(), group.layers.end(), op.layer) - group.layers.begin();
  const KvFormatInfo& format = *find_kv_format(options_.kv_format);
  return kv_layer_view(kv_[index].data(), static_cast<int64_t>(group.layers.size()), at, format.format,
                       format.element_bytes, format.scale_bytes, group.kv_heads, group.head_dim, options_.block_tokens);
}

// In order, each by all workers: a block may be the source of one copy and the target of a later one.
void CpuRunner::copy_blocks(const Batch& batch, const Team& team) {
  for (const BlockCopy& copy : batch.copies) {
    const auto index = static_cast<size_t>(copy.group);
    const int64_t bytes = block_bytes(program_.caches[index]);
    const Team::Range share = team.share(bytes, 64);
    std::byte* pool = kv_[index].data();
    std::memcpy(pool + copy.to * bytes + share.begin, pool + copy.from * bytes + share.begin,
                static_cast<size_t>(share.end - share.begin));
    team.sync();
  }
}

void CpuRunner::reserve_workspace(const Attention& attention) {
  attention_workspace_ = Buffer(attention.workspace_bytes(options_.max_model_len, pool_.size()), "kernel workspace");
  uint64_t bytes = 0;
  for (const PackedLinear& packed : linears_) {
    bytes = std::max(bytes, packed.linear->workspace_bytes(options_.max_batched_tokens, pool_.size()));
  }
  workspace_ = Buffer(bytes, "kernel workspace");
}

std::unique_ptr<CpuStep> CpuRunner::bind_step(const Op& op) {
  switch (op.kind) {
    case OpKind::kEmbed:
      return std::make_unique<EmbedStep>(weights_.tensor(op.weights[0]), tied_head_, place_out(op, 0));
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

std::unique_ptr<NormStep> CpuRunner::bind_norm(const Op& op) const {
  const bool alone = op.kind == OpKind::kRmsNorm;
  return std::make_unique<NormStep>(RmsNorm(options_.kernels), weights_.vector(op.weights[0]), op.eps, place_in(op, 0),
                                    alone ? Place{} : place_in(op, 1), alone ? Place{} : place_out(op, 0),
                                    place_out(op, alone ? 0 : 1));
}

std::unique_ptr<AttentionStep> CpuRunner::bind_attention(const Op& op) {
  const auto at = program_.ops.begin() + (&op - program_.ops.data()) + 1;
  const auto layers =
      std::count_if(program_.ops.begin(), at, [](const Op& before) { return before.kind == OpKind::kAttention; });
  return std::make_unique<AttentionStep>(
      Attention(attention_desc(program_.attention), options_.kv_format, options_.kernels),
      CachePlace{kv_view(op), static_cast<size_t>(op.cache_group)}, place_in(op, 0), place_out(op, 0),
      op.by_head ? &heads_ : nullptr, static_cast<uint32_t>(layers));
}

std::unique_ptr<RopeKvStep> CpuRunner::bind_rope_kv(const Op& op) {
  return std::make_unique<RopeKvStep>(RopeKv(options_.kv_format, options_.kernels), program_.attention, rope_,
                                      CachePlace{kv_view(op), static_cast<size_t>(op.cache_group)}, place_in(op, 0),
                                      place_out(op, 0), heads_);
}

std::unique_ptr<GluStep> CpuRunner::bind_glu(const Op& op) const {
  return std::make_unique<GluStep>(Glu(op.activation, options_.kernels), place_in(op, 0), place_out(op, 0));
}

void CpuRunner::run_steps(const StepContext& context, size_t first, size_t end) {
  // mark(2 * i) before and mark(2 * i + 1) behind step i.
  const auto walk = [&](const Team& team, const auto& mark) {
    for (size_t i = first; i < end; ++i) {
      // The pool's own barrier stands behind the last step.
      if (i > first && !steps_[i]->begins_at_once()) team.sync();
      mark(2 * i);
      steps_[i]->run(context, team);
      mark(2 * i + 1);
    }
  };
  if (stamps_ns_ == nullptr) return pool_.run([&](const Team& team) { walk(team, [](size_t) {}); });
  pool_.run([&](const Team& team) {
    int64_t* stamps = stamps_ns_->data() + 2 * steps_.size() * static_cast<size_t>(team.index());
    walk(team, [&](size_t at) { stamps[at] = SteadyClock().now_ns(); });
  });
}

std::span<const float> CpuRunner::execute(const Batch& batch) {
  const StepContext context{batch, batch.shape(), workspace_.data(), attention_workspace_.data()};
  TERN_CHECK(context.shape.tokens <= options_.max_batched_tokens && context.shape.rows <= options_.max_rows);
  for (const SequenceSlice& slice : batch.slices[0]) {
    TERN_CHECK(slice.history_len + slice.query_len <= options_.max_model_len);
  }
  if (stamps_ns_ != nullptr) std::fill(stamps_ns_->begin(), stamps_ns_->end(), 0);
  heads_.reset();
  if (!batch.copies.empty()) pool_.run([&](const Team& team) { copy_blocks(batch, team); });
  const size_t most = context.shape.tokens < kManyTokens ? steps_.size() : kStepsOfARun;
  for (size_t first = 0; first < steps_.size(); first += most) {
    run_steps(context, first, std::min(first + most, steps_.size()));
  }
  const Place logits = arena_.place(program_.entries[0].result);
  if (!maxima_.empty()) {
    block_maxima_ = {maxima_.data(), static_cast<size_t>(context.shape.rows) * vocabulary_blocks()};
  }
  return {logits.data, static_cast<size_t>(context.shape.rows * logits.cols)};
}

std::vector<OpReport> CpuRunner::report(const Batch& batch) const {
  std::vector<OpReport> rows;
  const std::string text = to_string(program_);
  size_t at = 0;
  for (size_t i = 0; i < steps_.size(); ++i) {
    const size_t end = text.find('\n', at);
    rows.push_back(
        {text.substr(at, end - at), short_name(program_.ops[i]), steps_[i]->kernel(), steps_[i]->cost(batch.shape())});
    at = end + 1;
  }
  return rows;
}

void CpuRunner::time_ops(std::vector<int64_t>* stamps_ns) {
  stamps_ns_ = stamps_ns;
  if (stamps_ns != nullptr) stamps_ns->assign(2 * steps_.size() * static_cast<size_t>(pool_.size()), 0);
}

}  // namespace

std::string_view name_of(PackCacheState state) {
  constexpr std::string_view kNames[] = {"off", "miss", "hit"};
  return kNames[static_cast<size_t>(state)];
}

std::vector<OpReport> Runner::report() const {
  Batch one;
  one.tokens = {0};
  one.slices[0] = {{.query_begin = 0, .query_len = 1, .history_len = 0, .block_table = nullptr}};
  one.wanted = {0};
  return report(one);
}

uint64_t kv_bytes_per_token(const Program& program, Format kv_format) {
  int64_t bytes = 0;
  for (const CacheGroup& group : program.caches) bytes += kv_bytes_per_token(group, kv_format);
  return static_cast<uint64_t>(bytes);
}

std::unique_ptr<Runner> make_cpu_runner(std::shared_ptr<const Checkpoint> checkpoint, const ModelConfig& config,
                                        const Program& lowered, const RunnerOptions& options) {
  return std::make_unique<CpuRunner>(std::move(checkpoint), config, lowered, options);
}

}  // namespace tern
