#include "kernels/attention/attention.h"

#include <algorithm>

#include "core/error.h"
#include "quant/format.h"

namespace tern {
namespace {

constexpr const AttentionImplSpan* kSpans[] = {&kAttentionAvx512, &kAttentionAvx2, &kAttentionRef};

// Loading and widening a key and its value costs about as much as 4 rows' arithmetic on it.
constexpr int64_t kLoadRows = 4;

// The unit that is begun and finished as one: some rows of one KV head of one sequence, over all the keys they see.
struct Item {
  const SequenceSlice* sequence;
  int32_t kv_head;
  int64_t row_begin, row_end;
  int64_t key_begin, key_end;
  int64_t chunk_begin, chunk_end;
  int64_t start;       // cost of all items before this one
  int64_t key_weight;  // cost of a key
  int64_t cost() const { return (key_end - key_begin) * key_weight; }
};

// Calls visit(item) for all items of the batch in order; returns their cost.
template <typename Visit>
int64_t for_each_item(const AttentionDesc& desc, const BatchShape& batch, const Visit& visit) {
  const int64_t group = desc.heads / desc.kv_heads;
  const int64_t block_rows = group <= kAttentionRows ? kAttentionRows / group * group : kAttentionRows;
  int64_t start = 0;
  for (int32_t s = 0; s < batch.sequence_count; ++s) {
    const SequenceSlice& sequence = batch.sequences[s];
    const int64_t rows = sequence.query_len * group;
    for (int32_t head = 0; head < desc.kv_heads; ++head) {
      for (int64_t row = 0; row < rows; row += block_rows) {
        Item item{.sequence = &sequence, .kv_head = head, .row_begin = row, .start = start};
        item.row_end = std::min(row + block_rows, rows);
        item.key_begin = first_visible_key(desc, sequence.history_len + row / group);
        item.key_end = sequence.history_len + (item.row_end - 1) / group + 1;
        item.chunk_begin = item.key_begin / kAttentionChunk;
        item.chunk_end = (item.key_end + kAttentionChunk - 1) / kAttentionChunk;
        item.key_weight = item.row_end - row + kLoadRows;
        visit(item);
        start += item.cost();
      }
    }
  }
  return start;
}

// Equal shares of the cost, cut between chunks: a chunk belongs to the worker in whose share its middle lies.
struct Division {
  int64_t total;
  int64_t workers;

  // The first chunk of the item that lies at or after the beginning of `worker`'s share.
  int64_t cut(const Item& item, int64_t worker) const {
    const int64_t target = total * worker;  // in units of cost / workers
    if (target <= item.start * workers) return item.chunk_begin;
    if (target >= (item.start + item.cost()) * workers) return item.chunk_end;
    for (int64_t chunk = item.chunk_begin; chunk < item.chunk_end; ++chunk) {
      const int64_t begin = std::max(item.key_begin, chunk * kAttentionChunk) - item.key_begin;
      const int64_t end = std::min(item.key_end, (chunk + 1) * kAttentionChunk) - item.key_begin;
      if ((2 * item.start + (begin + end) * item.key_weight) * workers >= 2 * target) return chunk;
    }
    return item.chunk_end;
  }
  // Where the item is first cut among workers; chunk_begin when one worker has all of it.
  int64_t first_cut(const Item& item) const {
    for (int64_t worker = item.start * workers / total + 1; worker < workers; ++worker) {
      if (total * worker >= (item.start + item.cost()) * workers) break;
      const int64_t chunk = cut(item, worker);
      if (chunk > item.chunk_begin && chunk < item.chunk_end) return chunk;
    }
    return item.chunk_begin;
  }
};

uint64_t aligned(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

// Where things lie in the workspace: a scratch and two partials a worker, then, for each of the at most workers - 1
// items that are cut, one partial a chunk.
struct Workspace {
  std::byte* base;
  int64_t head_dim;
  uint64_t scratch;
  int64_t chunks;  // of the longest context

  uint64_t partial_bytes() const { return aligned(sizeof(float) * kAttentionRows * (2 + head_dim)); }
  uint64_t worker_bytes() const { return aligned(scratch) + 2 * partial_bytes(); }
  uint64_t bytes(int64_t workers) const { return workers * worker_bytes() + (workers - 1) * chunks * partial_bytes(); }
  AttentionPartial partial_at(uint64_t offset) const {
    float* at = reinterpret_cast<float*>(base + offset);
    return {.max = at, .sum = at + kAttentionRows, .out = at + 2 * kAttentionRows};
  }
  std::byte* scratch_of(int64_t worker) const { return base + worker * worker_bytes(); }
  AttentionPartial running(int64_t worker) const { return partial_at(worker * worker_bytes() + aligned(scratch)); }
  AttentionPartial next(int64_t worker) const {
    return partial_at(worker * worker_bytes() + aligned(scratch) + partial_bytes());
  }
  // Partial `slot` of the `index`-th cut item. Slot 0 holds the chunks before its first cut, merged.
  AttentionPartial shared(int64_t workers, int64_t index, int64_t slot) const {
    return partial_at(workers * worker_bytes() + (index * chunks + slot) * partial_bytes());
  }
};

int64_t longest_context(const BatchShape& batch) {
  int64_t longest = 0;
  for (int32_t s = 0; s < batch.sequence_count; ++s) {
    const SequenceSlice& sequence = batch.sequences[s];
    longest = std::max<int64_t>(longest, static_cast<int64_t>(sequence.history_len) + sequence.query_len);
  }
  return longest;
}

Workspace workspace_for(const AttentionDesc& desc, const AttentionImpl& impl, std::byte* base, int64_t context) {
  return {base, desc.head_dim, impl.scratch_bytes(desc), (context + kAttentionChunk - 1) / kAttentionChunk};
}

AttentionBlock block_of(const AttentionDesc& desc, const AttentionArgs& args, const Item& item, std::byte* scratch) {
  const SequenceSlice& sequence = *item.sequence;
  return {.desc = desc,
          .kv = args.kv,
          .block_table = sequence.block_table,
          .q = args.q + sequence.query_begin * args.q_stride,
          .q_stride = args.q_stride,
          .out = args.out + static_cast<int64_t>(sequence.query_begin) * desc.heads * desc.head_dim,
          .history = sequence.history_len,
          .row_begin = item.row_begin,
          .row_end = item.row_end,
          .kv_head = item.kv_head,
          .scratch = scratch};
}

}  // namespace

Attention::Attention(const AttentionDesc& desc, Format kv_format, const KernelSelection& selection)
    : desc_(desc), kv_format_(kv_format), impl_(nullptr) {
  TERN_CHECK(desc.kv_heads > 0 && desc.heads % desc.kv_heads == 0 && desc.head_dim > 0);
  impl_ = first_allowed("attention", kSpans, selection,
                        [&](const AttentionImpl& row) { return row.supports(desc, kv_format); });
  if (impl_ == nullptr && kAttentionRef.rows->supports(desc, kv_format)) impl_ = kAttentionRef.rows;
  if (impl_ == nullptr) {
    fail(ErrorCode::kBadInput, "[attention] no kernel for head dimension " + std::to_string(desc.head_dim) + " and a " +
                                   std::string(name_of(kv_format)) + " cache");
  }
}

uint64_t Attention::workspace_bytes(int64_t, int64_t context, int workers) const {
  return workspace_for(desc_, *impl_, nullptr, context).bytes(workers);
}

void Attention::run(const AttentionArgs& args, const Team& team) const {
  if (!compute(args, team.index(), team.size())) return;
  team.sync();
  merge(args, team.index(), team.size());
}

bool Attention::compute(const AttentionArgs& args, int worker, int workers) const {
  TERN_CHECK(args.kv.block_tokens % 16 == 0 && args.kv.format == kv_format_);
  const Workspace space = workspace_for(desc_, *impl_, args.workspace, longest_context(args.batch));
  const Division division{for_each_item(desc_, args.batch, [](const Item&) {}), workers};
  const AttentionPartial running = space.running(worker), next = space.next(worker);
  int64_t cut_items = 0;
  for_each_item(desc_, args.batch, [&](const Item& item) {
    const int64_t index = cut_items;
    if (division.first_cut(item) > item.chunk_begin) ++cut_items;
    const int64_t begin = division.cut(item, worker), end = division.cut(item, worker + 1);
    if (begin >= end) return;
    const AttentionBlock block = block_of(desc_, args, item, space.scratch_of(worker));
    if (args.ready) args.ready(item.kv_head);
    impl_->begin(block);
    if (begin > item.chunk_begin) {
      for (int64_t c = begin; c < end; ++c) impl_->chunk(block, c, space.shared(workers, index, c - item.chunk_begin));
      return;
    }
    const int64_t rows = item.row_end - item.row_begin;
    const bool whole = end == item.chunk_end;
    const AttentionPartial into = whole ? running : space.shared(workers, index, 0);
    impl_->chunk(block, begin, into);
    for (int64_t c = begin + 1; c < end; ++c) {
      impl_->chunk(block, c, next);
      impl_->merge(into, next, 0, rows, desc_.head_dim);
    }
    if (whole) impl_->finish(block, into, 0, rows);
  });
  return cut_items > 0;
}

void Attention::merge(const AttentionArgs& args, int worker, int workers) const {
  const Workspace space = workspace_for(desc_, *impl_, args.workspace, longest_context(args.batch));
  const Division division{for_each_item(desc_, args.batch, [](const Item&) {}), workers};
  int64_t index = 0;
  for_each_item(desc_, args.batch, [&](const Item& item) {
    const int64_t cut = division.first_cut(item);
    if (cut == item.chunk_begin) return;
    const int64_t rows = item.row_end - item.row_begin;
    const int64_t begin = rows * worker / workers, end = rows * (worker + 1) / workers;
    const AttentionPartial into = space.shared(workers, index, 0);
    for (int64_t c = cut; c < item.chunk_end; ++c) {
      impl_->merge(into, space.shared(workers, index, c - item.chunk_begin), begin, end, desc_.head_dim);
    }
    impl_->finish(block_of(desc_, args, item, nullptr), into, begin, end);
    ++index;
  });
}

Cost Attention::cost(const BatchShape& batch) const {
  double keys_read = 0, pairs = 0;
  for (int32_t s = 0; s < batch.sequence_count; ++s) {
    const SequenceSlice& sequence = batch.sequences[s];
    const int64_t length = static_cast<int64_t>(sequence.history_len) + sequence.query_len;
    if (sequence.query_len > 0) {
      keys_read += static_cast<double>(length - first_visible_key(desc_, sequence.history_len));
    }
    for (int64_t p = sequence.history_len; p < length; ++p) {
      pairs += static_cast<double>(p + 1 - first_visible_key(desc_, p));
    }
  }
  const double rows = static_cast<double>(batch.tokens) * desc_.heads * desc_.head_dim;
  const double element = format_info(kv_format_).block_bytes;
  return {.bytes = 8 * rows + keys_read * 2 * desc_.kv_heads * desc_.head_dim * element,
          .ops = 4 * pairs * desc_.heads * desc_.head_dim};
}

std::string Attention::kernel_name() const { return impl_->name; }

std::vector<KernelListing> attention_listing() { return list_family("attention", kSpans); }

}  // namespace tern
