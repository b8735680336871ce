#include "kernels/rope/rope.h"

#include <algorithm>

#include "core/error.h"
#include "quant/kv_format.h"

namespace tern {
namespace {

constexpr const RopeKvImplSpan* kSpans[] = {&kRopeKvAvx512, &kRopeKvAvx2, &kRopeKvRef};

int64_t runs_of(const SequenceSlice& sequence) {
  if (sequence.query_len == 0) return 0;
  const int64_t first = sequence.history_len / kRopeRun;
  const int64_t last = (static_cast<int64_t>(sequence.history_len) + sequence.query_len - 1) / kRopeRun;
  return last - first + 1;
}

// Run `index` of a sequence: the tokens of one aligned group of positions.
RopeRun run_of(const RopeKvArgs& args, const SequenceSlice& sequence, int64_t index) {
  const int64_t group = sequence.history_len / kRopeRun + index;
  const int64_t history = sequence.history_len;
  const int64_t begin = std::max(history, group * kRopeRun);
  const int64_t end = std::min(history + sequence.query_len, (group + 1) * kRopeRun);
  const int64_t block = sequence.block_table[begin / args.kv.block_tokens];
  return {.token = sequence.query_begin + begin - history,
          .count = static_cast<int32_t>(end - begin),
          .position = begin,
          .block = args.kv.pool + block * args.kv.block_bytes,
          .slot = static_cast<int32_t>(begin % args.kv.block_tokens)};
}

void check(const RopeKvArgs& args) {
  TERN_CHECK(args.kv.block_tokens % kRopeRun == 0 && args.head_dim <= kMaxHeadDim && args.rope_dims <= args.head_dim &&
             args.rope_dims % 2 == 0 && (args.kv.format != kKvInt8 || args.head_dim % 4 == 0));
}

}  // namespace

RopeKv::RopeKv(Format kv_format, const KernelSelection& selection) : impl_(nullptr), norm_(selection) {
  impl_ = first_allowed("rope", kSpans, selection, [&](const RopeKvImpl& row) { return row.supports(kv_format); });
  if (impl_ == nullptr && kRopeKvRef.rows->supports(kv_format)) impl_ = kRopeKvRef.rows;
  if (impl_ == nullptr) {
    fail(ErrorCode::kBadInput, "[rope] no kernel writes a " + std::string(kv_name_of(kv_format)) + " cache");
  }
}

// Each head of each token comes here once, so its norm may be written over it.
void RopeKv::run_columns(const RopeKvArgs& args, const RopeRun& run, int64_t begin, int64_t end) const {
  for (int64_t column = begin; column < std::min<int64_t>(end, args.heads + args.kv_heads); ++column) {
    const float* weight = column < args.heads ? args.q_norm : args.k_norm;
    for (int64_t i = 0; weight != nullptr && i < run.count; ++i) {
      float* head = rope_head(args, run.token + i, column);
      norm_.run({head, nullptr, nullptr, weight, head, 1, args.head_dim, args.norm_eps});
    }
  }
  impl_->run(args, run, static_cast<int32_t>(begin), static_cast<int32_t>(end));
}

void RopeKv::run(const RopeKvArgs& args, const Team& team) const {
  check(args);
  int64_t runs = 0;
  for (int32_t s = 0; s < args.batch.sequence_count; ++s) runs += runs_of(args.batch.sequences[s]);
  // The unit of work is one head of one run: a single token is shared out too, and no two workers write one cache line
  // of a block's keys.
  const int64_t columns = args.heads + 2 * args.kv_heads;
  const Team::Range share = team.share(runs * columns);
  int64_t first = 0;  // unit at which the sequence begins
  for (int32_t s = 0; s < args.batch.sequence_count && first < share.end; ++s) {
    const SequenceSlice& sequence = args.batch.sequences[s];
    const int64_t units = runs_of(sequence) * columns;
    int64_t at = std::max(share.begin, first) - first;
    const int64_t end = std::min(share.end, first + units) - first;
    while (at < end) {
      const int64_t column = at % columns;
      const int64_t count = std::min(columns - column, end - at);
      run_columns(args, run_of(args, sequence, at / columns), column, column + count);
      at += count;
    }
    first += units;
  }
}

void RopeKv::run_heads(const RopeKvArgs& args, int64_t begin, int64_t end) const {
  check(args);
  for (int32_t s = 0; s < args.batch.sequence_count; ++s) {
    const SequenceSlice& sequence = args.batch.sequences[s];
    const int64_t runs = runs_of(sequence);
    for (int64_t i = 0; i < runs; ++i) {
      run_columns(args, run_of(args, sequence, i), begin, end);
    }
  }
}

Cost RopeKv::cost(const RopeKvArgs& args) const {
  const double tokens = args.batch.tokens;
  const double q = tokens * args.heads * args.head_dim;
  const double kv = tokens * 2 * args.kv_heads * args.head_dim;
  const auto written = static_cast<double>(kv_head_bytes(args.kv.format, args.head_dim));
  const double table = tokens * args.rope_dims * 4;
  return {.bytes = q * 8 + kv * 4 + tokens * 2 * args.kv_heads * written + table,
          .ops = 3 * (q + kv / 2),
          .activations = q * 8 + kv * 4};
}

std::string RopeKv::kernel_name() const { return impl_->name; }

std::vector<KernelListing> rope_listing() { return list_family("rope", kSpans); }

}  // namespace tern
