#include "kernels/attention/attention.h"

#include <algorithm>

#include "core/error.h"
#include "kernels/attention/attention_division.h"
#include "quant/kv_format.h"

namespace tern {
namespace {

constexpr const AttentionImplSpan* kSpans[] = {&kAttentionAmx, &kAttentionAvx512, &kAttentionAvx2, &kAttentionRef};

uint64_t aligned(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

// Where things lie in the workspace: a scratch and two partials a worker, then, for each of the at most workers - 1
// items that are cut between chunks, one partial a chunk.
struct Workspace {
  std::byte* base;
  int64_t rows;  // of a worker's partials
  int64_t head_dim;
  uint64_t scratch;
  int64_t chunks;  // of the longest context

  static uint64_t partial_bytes(int64_t rows, int64_t head_dim) {
    return aligned(sizeof(float) * rows * (2 + head_dim));
  }
  uint64_t shared_bytes() const { return partial_bytes(kAttentionRows, head_dim); }
  uint64_t worker_bytes() const { return aligned(scratch) + 2 * partial_bytes(rows, head_dim); }
  uint64_t bytes(int64_t workers) const { return workers * worker_bytes() + (workers - 1) * chunks * shared_bytes(); }
  AttentionPartial partial_at(uint64_t offset, int64_t partial_rows) const {
    float* at = reinterpret_cast<float*>(base + offset);
    return {.max = at, .sum = at + partial_rows, .out = at + 2 * partial_rows};
  }
  std::byte* scratch_of(int64_t worker) const { return base + worker * worker_bytes(); }
  AttentionPartial running(int64_t worker) const {
    return partial_at(worker * worker_bytes() + aligned(scratch), rows);
  }
  AttentionPartial next(int64_t worker) const {
    return partial_at(worker * worker_bytes() + aligned(scratch) + partial_bytes(rows, head_dim), rows);
  }
  // Partial `slot` of the `index`-th cut item. Slot 0 holds the chunks before its first cut, merged.
  AttentionPartial shared(int64_t workers, int64_t index, int64_t slot) const {
    return partial_at(workers * worker_bytes() + (index * chunks + slot) * shared_bytes(), kAttentionRows);
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
  return {base, impl.block_rows, desc.head_dim, impl.scratch_bytes(desc),
          (context + kAttentionChunk - 1) / kAttentionChunk};
}

// KV head `head` of the item, counted from its first.
AttentionBlock block_of(const AttentionDesc& desc, const AttentionArgs& args, const Item& item, int32_t head,
                        std::byte* scratch) {
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
          .kv_head = item.kv_head + head,
          .scratch = scratch,
          .scratch_row = head * item.rows(),
          .next_kv_head = 0,
          .next_key = 0};
}

// One worker's share of an item, all heads of a chunk before the next chunk.
class ItemRun {
 public:
  ItemRun(const AttentionDesc& desc, const AttentionImpl& impl, const AttentionArgs& args, const Item& item,
          std::byte* scratch)
      : desc_(desc), impl_(impl), args_(args), item_(item), scratch_(scratch) {
    for (int32_t head = 0; head < item.kv_heads; ++head) impl.begin(block_of(desc, args, item, head, scratch));
  }
  void chunk(int64_t chunk, const AttentionPartial& partial) const {
    for (int32_t head = 0; head < item_.kv_heads; ++head) {
      AttentionBlock block = block_of(desc_, args_, item_, head, scratch_);
      const bool last_head = head + 1 == item_.kv_heads;
      const int64_t next = !last_head ? chunk : chunk + 1 < item_.chunk_end ? chunk + 1 : item_.chunk_begin;
      block.next_key = item_.first_key(next);
      block.next_kv_head = !last_head ? block.kv_head + 1 : item_.kv_head;
      if (last_head && next == item_.chunk_begin) {
        block.next_kv_head = std::min(block.kv_head + 1, desc_.kv_heads - 1);
      }
      impl_.chunk(block, chunk, rows_of(partial, head));
    }
  }
  void merge(const AttentionPartial& into, const AttentionPartial& from) const {
    impl_.merge(into, from, 0, item_.kv_heads * item_.rows(), desc_.head_dim);
  }
  void finish(const AttentionPartial& partial) const {
    for (int32_t head = 0; head < item_.kv_heads; ++head) {
      impl_.finish(block_of(desc_, args_, item_, head, scratch_), rows_of(partial, head), 0, item_.rows());
    }
  }

 private:
  AttentionPartial rows_of(const AttentionPartial& partial, int32_t head) const {
    const int64_t row = head * item_.rows();
    return {partial.max + row, partial.sum + row, partial.out + row * desc_.head_dim};
  }
  const AttentionDesc& desc_;
  const AttentionImpl& impl_;
  const AttentionArgs& args_;
  const Item& item_;
  std::byte* scratch_;
};

}  // namespace

Attention::Attention(const AttentionDesc& desc, Format kv_format, const KernelSelection& selection)
    : desc_(desc), kv_format_(kv_format), impl_(nullptr) {
  TERN_CHECK(desc.kv_heads > 0 && desc.heads % desc.kv_heads == 0 && desc.head_dim > 0);
  const auto first = [&](bool slow) {  // a slow row goes before the reference still
    return first_allowed("attention", kSpans, selection, [&](const AttentionImpl& row) {
      const bool fast = (row.fast_with & ~selection.isa()) == 0 && row.needs != kIsaNone;
      return (fast || slow) && row.supports(desc, kv_format);
    });
  };
  impl_ = first(false);
  if (impl_ == nullptr) impl_ = first(true);
  if (impl_ == nullptr && kAttentionRef.rows->supports(desc, kv_format)) impl_ = kAttentionRef.rows;
  if (impl_ == nullptr) {
    fail(ErrorCode::kBadInput, "[attention] no kernel for head dimension " + std::to_string(desc.head_dim) + " and a " +
                                   std::string(kv_name_of(kv_format)) + " cache");
  }
}

Attention::Attention(const AttentionDesc& desc, Format kv_format, const AttentionImpl& impl)
    : desc_(desc), kv_format_(kv_format), impl_(&impl) {
  TERN_CHECK(desc.kv_heads > 0 && desc.heads % desc.kv_heads == 0 && impl.supports(desc, kv_format));
}

uint64_t Attention::workspace_bytes(int64_t context, int workers) const {
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
  const Division division{for_each_item(desc_, *impl_, args.batch, workers, [](const Item&) {}), workers};
  const AttentionPartial running = space.running(worker), next = space.next(worker);
  int64_t cut_items = 0;
  for_each_item(desc_, *impl_, args.batch, workers, [&](const Item& item) {
    const int64_t index = cut_items;
    if (division.first_cut(item) > item.chunk_begin) ++cut_items;
    const std::optional<Item> own = division.share(desc_, item, worker);
    if (!own) return;
    for (int32_t head = 0; args.ready && head < item.kv_heads; ++head) args.ready(item.kv_head + head);
    const ItemRun run(desc_, *impl_, args, *own, space.scratch_of(worker));
    if (own->chunk_begin > item.chunk_begin && !item.cut_by_rows()) {
      for (int64_t c = own->chunk_begin; c < own->chunk_end; ++c) {
        run.chunk(c, space.shared(workers, index, c - item.chunk_begin));
      }
      return;
    }
    const bool whole = item.cut_by_rows() || own->chunk_end == item.chunk_end;
    const AttentionPartial into = whole ? running : space.shared(workers, index, 0);
    run.chunk(own->chunk_begin, into);
    for (int64_t c = own->chunk_begin + 1; c < own->chunk_end; ++c) {
      run.chunk(c, next);
      run.merge(into, next);
    }
    if (whole) run.finish(into);
  });
  return cut_items > 0;
}

void Attention::merge(const AttentionArgs& args, int worker, int workers) const {
  const Workspace space = workspace_for(desc_, *impl_, args.workspace, longest_context(args.batch));
  const Division division{for_each_item(desc_, *impl_, args.batch, workers, [](const Item&) {}), workers};
  int64_t index = 0;
  for_each_item(desc_, *impl_, args.batch, workers, [&](const Item& item) {
    const int64_t cut = division.first_cut(item);
    if (cut == item.chunk_begin) return;
    // Rows of all heads, one behind the other.
    const int64_t rows = item.rows(), all = item.kv_heads * rows;
    const int64_t begin = all * worker / workers, end = all * (worker + 1) / workers;
    const AttentionPartial into = space.shared(workers, index, 0);
    for (int64_t c = cut; c < item.chunk_end; ++c) {
      impl_->merge(into, space.shared(workers, index, c - item.chunk_begin), begin, end, desc_.head_dim);
    }
    for (int32_t head = 0; head < item.kv_heads; ++head) {
      const int64_t row = head * rows, from = std::max(begin, row), to = std::min(end, row + rows);
      const AttentionPartial own{into.max + row, into.sum + row, into.out + row * desc_.head_dim};
      if (from < to) impl_->finish(block_of(desc_, args, item, head, nullptr), own, from - row, to - row);
    }
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
  const auto head_bytes = static_cast<double>(kv_head_bytes(kv_format_, desc_.head_dim));
  return {.bytes = 8 * rows + keys_read * 2 * desc_.kv_heads * head_bytes,
          .ops = 4 * pairs * desc_.heads * desc_.head_dim,
          .activations = 8 * rows,
          .arithmetic = impl_->arithmetic};
}

std::string Attention::kernel_name() const { return impl_->name; }

std::vector<KernelListing> attention_listing() { return list_family("attention", kSpans); }

}  // namespace tern
