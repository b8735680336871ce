#include "kernels/rope/rope.h"

#include <algorithm>

#include "core/error.h"
#include "quant/format.h"

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
  TERN_CHECK(args.kv.block_tokens % kRopeRun == 0 && args.head_dim <= 256 && args.rope_dims <= args.head_dim &&
             args.rope_dims % 2 == 0);
}

}  // namespace

RopeKv::RopeKv(Format kv_format, const KernelSelection& selection) : impl_(nullptr) {
  impl_ = first_allowed("rope", kSpans, selection, [&](const RopeKvImpl& row) { return row.supports(kv_format); });
  if (impl_ == nullptr && kRopeKvRef.rows->supports(kv_format)) impl_ = kRopeKvRef.rows;
  if (impl_ == nullptr) {
    fail(ErrorCode::kBadInput, "[rope] no kernel writes a " + std::string(name_of(kv_format)) + " cache");
  }
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
      impl_->run(args, run_of(args, sequence, at / columns), static_cast<int32_t>(column),
                 static_cast<int32_t>(column + count));
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
      impl_->run(args, run_of(args, sequence, i), static_cast<int32_t>(begin), static_cast<int32_t>(end));
    }
  }
}

Cost RopeKv::cost(const RopeKvArgs& args) const {
  const double tokens = args.batch.tokens;
  const double q = tokens * args.heads * args.head_dim;
  const double kv = tokens * 2 * args.kv_heads * args.head_dim;
  const double table = tokens * args.rope_dims * 4;
  return {.bytes = q * 8 + kv * (4 + args.kv.element_bytes) + table, .ops = 3 * (q + kv / 2)};
}

std::string RopeKv::kernel_name() const { return impl_->name; }

std::vector<KernelListing> rope_listing() { return list_family("rope", kSpans); }

}  // namespace tern
