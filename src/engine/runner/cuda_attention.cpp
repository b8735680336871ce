#include "engine/runner/cuda_attention.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/error.h"
#include "engine/runner/cuda_inputs.h"
#include "kernels/attention/attention_gpu.h"
#include "quant/kv_format.h"

namespace tern {
namespace {

constexpr int kHopper = 90;
// A plan's rounds beyond what even lengths need: short units beside long ones.
constexpr int64_t kUneven = 4;

template <typename Span, typename Supports>
auto first_row(const Span& span, Supports supports) -> decltype(span.rows) {
  for (int i = 0; i < span.count; ++i) {
    if (supports(span.rows[i])) return &span.rows[i];
  }
  return nullptr;
}

// All layers of a cache group have the same.
float soft_cap_of(const Program& program, size_t group) {
  for (const Op& op : program.ops) {
    if (op.kind == OpKind::kAttention && op.cache_group == static_cast<int32_t>(group)) return op.soft_cap;
  }
  return 0;
}

}  // namespace

DecodeKv cuda_kv_format(Format format) {
  if (format == Format::kBF16) return DecodeKv::kBf16;
  if (format == kKvFp8) return DecodeKv::kFp8;
  bad_input("[cuda] a cache on a GPU is bf16 or fp8, not " + std::string(kv_name_of(format)));
}

CudaAttention::CudaAttention(const Program& program, size_t group, const RunnerOptions& options, int capability,
                             bool deterministic)
    : group_(group),
      deterministic_(deterministic),
      desc_{.heads = static_cast<int32_t>(program.attention.heads),
            .kv_heads = static_cast<int32_t>(program.caches[group].kv_heads),
            .head_dim = static_cast<int32_t>(program.caches[group].head_dim),
            .block_tokens = static_cast<int32_t>(options.block_tokens),
            .kv = cuda_kv_format(options.kv_format),
            .scale = program.attention.scale,
            .window = static_cast<int32_t>(program.caches[group].window),
            .soft_cap = soft_cap_of(program, group)},
      prefill_desc_{.heads = desc_.heads,
                    .kv_heads = desc_.kv_heads,
                    .head_dim = desc_.head_dim,
                    .block_tokens = desc_.block_tokens,
                    .window = desc_.window,
                    .scale = desc_.scale,
                    .soft_cap = desc_.soft_cap,
                    .kv = desc_.kv} {
  if (desc_.head_dim > kGpuAttentionMaxDim)
    fail(ErrorCode::kFailed, fmt::format("[attention] no kernel for heads of {} on cuda", desc_.head_dim));
  if (capability != kHopper) return;
  choose_decode(options);
  if (decode_ != nullptr && !deterministic) choose_prefill(options);
}

void CudaAttention::choose_decode(const RunnerOptions& options) {
  decode_ = first_row(kDecodeAttentionSm90, [&](const DecodeAttentionImpl& row) { return row.supports(desc_); });
  if (decode_ == nullptr) return;
  const int32_t group = desc_.heads / desc_.kv_heads;
  uint64_t bytes = 0;
  for (int32_t rows = 8; rows <= kDecodeMaxRows; rows *= 2) {
    const int32_t slots = decode_attention_slots(desc_, decode_->thread_blocks(rows), std::max(rows / group, 1),
                                                 options.max_model_len * options.max_sequences);
    slots_ = std::max(slots_, slots);
  }
  for (int32_t rows = 8; rows <= kDecodeMaxRows; rows *= 2) {
    bytes = std::max(bytes, decode_->workspace_bytes(desc_, rows, slots_));
  }
  workspace_ = CudaMemory(bytes, "attention's workspace");
  const int64_t nodes = options.max_model_len / (int64_t{kDecodeChunk} << kDecodeLevels) + 1;
  const int64_t most = options.max_batched_tokens * group / 8 + options.max_sequences;  // blocks of rows
  limits_.decode_units = kUneven * (desc_.kv_heads * most * nodes + 16 * decode_->thread_blocks(8));
}

void CudaAttention::choose_prefill(const RunnerOptions& options) {
  prefill_ =
      first_row(kPrefillAttentionSm90, [&](const PrefillAttentionImpl& row) { return row.supports(prefill_desc_); });
  if (prefill_ == nullptr) return;
  const int64_t strips = (options.max_batched_tokens / kPrefillStrip + options.max_sequences) * desc_.heads;
  limits_.prefill_units = kUneven * (strips / prefill_->strips + prefill_->thread_blocks() + desc_.kv_heads);
}

bool CudaAttention::is_prompt(const SequenceSlice& slice) const {
  return prefill_ != nullptr && slice.query_len * (desc_.heads / desc_.kv_heads) > kDecodeMaxRows;
}

void CudaAttention::plan_decode(const BatchShape& shape) {
  chosen_.clear(), rows_.clear();
  int32_t longest = 0;
  for (int32_t i = 0; i < shape.sequence_count; ++i) {
    if (is_prompt(shape.sequences[i])) continue;
    chosen_.push_back(shape.sequences[i]);
    rows_.push_back(i);
    longest = std::max(longest, shape.sequences[i].query_len);
  }
  plan_.decode = {};
  if (chosen_.empty()) return;
  const BatchShape few{chosen_.data(), static_cast<int32_t>(chosen_.size()), shape.tokens, shape.rows};
  const int32_t rows = decode_attention_rows(desc_, longest);
  plan_.decode = plan_decode_attention(desc_, few, rows, decode_->thread_blocks(rows));
  for (DecodeUnit& unit : plan_.decode.units) {
    if (unit.chunks > 0) unit.sequence = rows_[static_cast<size_t>(unit.sequence)];
  }
}

void CudaAttention::plan_prefill(const BatchShape& shape) {
  plan_.prefill = {};
  if (static_cast<int32_t>(chosen_.size()) == shape.sequence_count) return;
  chosen_.assign(shape.sequences, shape.sequences + shape.sequence_count);
  for (SequenceSlice& slice : chosen_) {
    if (!is_prompt(slice)) slice.query_len = 0;  // the plan leaves it out
  }
  const BatchShape prompts{chosen_.data(), shape.sequence_count, shape.tokens, shape.rows};
  plan_.prefill = plan_prefill_attention(prefill_desc_, prompts, prefill_->strips, prefill_->thread_blocks());
}

const CudaAttentionPlan& CudaAttention::plan(const BatchShape& shape) {
  plan_.plain = true;
  if (decode_ == nullptr) return plan_;
  plan_decode(shape);
  plan_prefill(shape);
  plan_.plain = plan_.decode.slots > slots_ || static_cast<int64_t>(plan_.decode.units.size()) > limits_.decode_units ||
                static_cast<int64_t>(plan_.prefill.units.size()) > limits_.prefill_units;
  if (plan_.plain && deterministic_) {
    fail(ErrorCode::kFailed,
         "[attention] a step's plan is larger than what is reserved for it; --deterministic allows "
         "no other kernel (a smaller --max-num-batched-tokens makes smaller plans)");
  }
  return plan_;
}

void CudaAttention::run_decode(const CudaInputs& inputs, const CudaKv& kv, const std::byte* q, std::byte* out,
                               void* stream, bool overlap) const {
  check_cuda(decode_->run({.desc = desc_,
                           .kv = kv.view,
                           .q = q,
                           .q_stride = columns(),
                           .out = out,
                           .out_stride = columns(),
                           .block_tables = inputs.tables(group_),
                           .table_stride = inputs.table_stride(),
                           .units = inputs.decode_units(group_),
                           .thread_blocks = plan_.decode.thread_blocks,
                           .rows = plan_.decode.rows,
                           .workspace = workspace_.data(),
                           .slots = slots_,
                           .overlap = overlap},
                          stream),
             "attention");
}

void CudaAttention::run_prefill(const CudaInputs& inputs, const CudaKv& kv, const std::byte* q, std::byte* out,
                                int64_t tokens, void* stream) const {
  check_cuda(prefill_->run({.desc = prefill_desc_,
                            .kv = kv.view,
                            .q = q,
                            .q_stride = columns(),
                            .out = out,
                            .out_stride = columns(),
                            .tokens = tokens,
                            .block_tables = inputs.tables(group_),
                            .table_stride = inputs.table_stride(),
                            .units = inputs.prefill_units(group_),
                            .thread_blocks = plan_.prefill.thread_blocks},
                           stream),
             "attention");
}

void CudaAttention::run(const CudaInputs& inputs, const CudaKv& kv, const std::byte* q, std::byte* out, int64_t tokens,
                        void* stream, bool overlap) const {
  if (!plan_.plain) {
    if (!plan_.prefill.units.empty()) run_prefill(inputs, kv, q, out, tokens, stream);
    // Behind another launch of attention it may not begin before that has read what it waits for.
    if (!plan_.decode.units.empty()) run_decode(inputs, kv, q, out, stream, overlap && plan_.prefill.units.empty());
    return;
  }
  check_cuda(kGpuAttentionSm80.run({.desc = desc_,
                                    .kv = kv.view,
                                    .q = q,
                                    .out = out,
                                    .positions = inputs.positions(),
                                    .sequences = inputs.sequences(),
                                    .block_tables = inputs.tables(group_),
                                    .table_stride = inputs.table_stride(),
                                    .tokens = tokens,
                                    .overlap = overlap},
                                   stream),
             "attention");
}

std::string CudaAttention::kernel() const {
  if (decode_ == nullptr) return kGpuAttentionSm80.name;
  return prefill_ == nullptr ? decode_->name : std::string(decode_->name) + " | prefill " + prefill_->name;
}

Cost CudaAttention::cost(const BatchShape& shape) const {
  double keys = 0;
  for (int32_t i = 0; i < shape.sequence_count; ++i) {
    const SequenceSlice& slice = shape.sequences[i];
    keys += (desc_.window > 0 ? std::min(slice.history_len, desc_.window - 1) : slice.history_len) + slice.query_len;
  }
  const double row_bytes = desc_.kv == DecodeKv::kFp8 ? desc_.head_dim + 4 : 2 * desc_.head_dim;
  const double activations = 4.0 * static_cast<double>(shape.tokens * columns());
  return {.bytes = 2 * keys * desc_.kv_heads * row_bytes + activations,
          .ops = 4.0 * prefill_attention_pairs(prefill_desc_, shape) * static_cast<double>(columns()),
          .activations = activations,
          .arithmetic = Arithmetic::kBf16};
}

}  // namespace tern
