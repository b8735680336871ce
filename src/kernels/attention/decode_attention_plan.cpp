#include "kernels/attention/decode_attention_plan.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <utility>

#include "core/error.h"

namespace tern {
namespace {

// What a unit costs beside its chunks (queries, joining), in chunks: an estimate, not measured by itself.
constexpr int32_t kUnitOverhead = 1;
// More units than this a thread block only add overhead: their lengths even out.
constexpr int64_t kEnoughUnits = 16;
// A coarser cut is taken if it is this much slower at most: fewer partials to write and join.
constexpr double kSlack = 1.02;

int32_t divide_up(int64_t a, int64_t b) { return static_cast<int32_t>((a + b - 1) / b); }

int32_t chunks_of(const SequenceSlice& sequence) {
  return divide_up(int64_t{sequence.history_len} + sequence.query_len, kDecodeChunk);
}

// Rows of a KV head, in units.
int32_t row_blocks(const DecodeAttentionDesc& desc, const SequenceSlice& sequence, int32_t rows) {
  return divide_up(int64_t{sequence.query_len} * (desc.heads / desc.kv_heads), rows);
}

// The first key that a row of the block of rows from `row` on sees.
int32_t first_key(const DecodeAttentionDesc& desc, const SequenceSlice& sequence, int32_t row) {
  const int32_t position = sequence.history_len + row / (desc.heads / desc.kv_heads);
  return desc.window > 0 ? std::max(position - desc.window + 1, 0) : 0;
}

int64_t unit_count(const DecodeAttentionDesc& desc, const BatchShape& batch, int32_t rows, int32_t level) {
  int64_t count = 0;
  for (int32_t i = 0; i < batch.sequence_count; ++i) {
    const SequenceSlice& sequence = batch.sequences[i];
    const int32_t nodes =
        divide_up(chunks_of(sequence), 1 << level) - first_key(desc, sequence, 0) / (kDecodeChunk << level);
    count += int64_t{desc.kv_heads} * row_blocks(desc, sequence, rows) * nodes;
  }
  return count;
}

// The nodes of a block of rows, in order; `unit` has what they share.
void append_nodes(DecodeUnit unit, int32_t level, int32_t* slots, std::vector<DecodeUnit>* units) {
  const int32_t chunks = divide_up(unit.keys, kDecodeChunk);
  unit.nodes = divide_up(chunks, 1 << level);
  unit.first_node = unit.first_key / (kDecodeChunk << level);
  const int32_t count = unit.nodes - unit.first_node;
  unit.slot = count > 1 ? *slots : 0;
  if (count > 1) *slots += count;
  for (unit.node = unit.first_node; unit.node < unit.nodes; ++unit.node) {
    unit.first_chunk = unit.node << level;
    unit.chunks = std::min(1 << level, chunks - unit.first_chunk);
    unit.skip = std::max(unit.first_key / kDecodeChunk - unit.first_chunk, 0);
    units->push_back(unit);
  }
}

// Nodes of level `level`, longest first; a sequence's in order.
std::vector<DecodeUnit> units_of_level(const DecodeAttentionDesc& desc, const BatchShape& batch, int32_t rows,
                                       int32_t level, int32_t* slots) {
  std::vector<DecodeUnit> units;
  units.reserve(static_cast<size_t>(unit_count(desc, batch, rows, level)));
  *slots = 0;
  for (int32_t i = 0; i < batch.sequence_count; ++i) {
    const SequenceSlice& sequence = batch.sequences[i];
    const int32_t all_rows = sequence.query_len * (desc.heads / desc.kv_heads);
    for (int32_t head = 0; head < desc.kv_heads; ++head) {
      for (int32_t row = 0; row < all_rows; row += rows) {
        DecodeUnit unit = {};
        unit.sequence = i, unit.query_begin = sequence.query_begin;
        unit.history = sequence.history_len, unit.keys = sequence.history_len + sequence.query_len;
        unit.kv_head = head, unit.first_row = row, unit.rows = std::min(rows, all_rows - row);
        unit.first_key = first_key(desc, sequence, row);
        append_nodes(unit, level, slots, &units);
      }
    }
  }
  std::stable_sort(units.begin(), units.end(),
                   [](const DecodeUnit& a, const DecodeUnit& b) { return a.chunks - a.skip > b.chunks - b.skip; });
  return units;
}

// Longest first, each to whoever has least. Returns the largest load.
int64_t deal(const std::vector<DecodeUnit>& units, int32_t thread_blocks, std::vector<std::vector<int32_t>>* dealt) {
  using Load = std::pair<int64_t, int32_t>;
  std::priority_queue<Load, std::vector<Load>, std::greater<>> loads;
  for (int32_t i = 0; i < thread_blocks; ++i) loads.push({0, i});
  int64_t largest = 0;
  for (size_t i = 0; i < units.size(); ++i) {
    Load load = loads.top();
    loads.pop();
    load.first += units[i].chunks - units[i].skip + kUnitOverhead;
    largest = std::max(largest, load.first);
    loads.push(load);
    if (dealt != nullptr) (*dealt)[static_cast<size_t>(load.second)].push_back(static_cast<int32_t>(i));
  }
  return largest;
}

// The coarsest level that is about as fast as the fastest.
int32_t choose_level(const DecodeAttentionDesc& desc, const BatchShape& batch, int32_t rows, int32_t thread_blocks) {
  int32_t longest = 0;
  for (int32_t i = 0; i < batch.sequence_count; ++i) longest = std::max(longest, chunks_of(batch.sequences[i]));
  int32_t chosen = kDecodeLevels;
  double best = 0;
  for (int32_t level = kDecodeLevels; level >= 0; --level) {
    if (longest > 1 << (level + kDecodeLevels)) break;  // what joins them would need more levels
    if (level < kDecodeLevels && unit_count(desc, batch, rows, level) > kEnoughUnits * thread_blocks) break;
    int32_t slots = 0;
    const auto load =
        static_cast<double>(deal(units_of_level(desc, batch, rows, level, &slots), thread_blocks, nullptr));
    if (level == kDecodeLevels || load * kSlack < best) chosen = level, best = load;
  }
  return chosen;
}

}  // namespace

int32_t decode_attention_rows(const DecodeAttentionDesc& desc, int32_t query_len) {
  const int32_t rows = query_len * (desc.heads / desc.kv_heads);
  return rows <= 8 ? 8 : rows <= 16 ? 16 : kDecodeMaxRows;
}

int32_t decode_attention_slots(const DecodeAttentionDesc& desc, int32_t thread_blocks, int32_t query_len,
                               int64_t keys) {
  // Levels below the last have at most kEnoughUnits units a thread block. On the last, a context of more than one node
  // has less than two nodes for each node's keys.
  const int32_t rows = decode_attention_rows(desc, query_len);
  const int64_t pairs = int64_t{desc.kv_heads} * divide_up(int64_t{query_len} * (desc.heads / desc.kv_heads), rows);
  const int64_t last = pairs * 2 * divide_up(keys, int64_t{kDecodeChunk} << kDecodeLevels);
  return static_cast<int32_t>(std::max(kEnoughUnits * thread_blocks, last));
}

DecodeAttentionPlan plan_decode_attention(const DecodeAttentionDesc& desc, const BatchShape& batch, int32_t rows,
                                          int32_t thread_blocks) {
  for (int32_t i = 0; i < batch.sequence_count; ++i) {
    const SequenceSlice& sequence = batch.sequences[i];
    TERN_CHECK(sequence.query_len > 0 && chunks_of(sequence) <= kDecodeMaxKeys / kDecodeChunk);
  }
  DecodeAttentionPlan plan;
  plan.thread_blocks = thread_blocks;
  plan.rows = rows;
  plan.levels = choose_level(desc, batch, rows, thread_blocks);
  const std::vector<DecodeUnit> units = units_of_level(desc, batch, rows, plan.levels, &plan.slots);
  std::vector<std::vector<int32_t>> dealt(static_cast<size_t>(thread_blocks));
  deal(units, thread_blocks, &dealt);
  for (const std::vector<int32_t>& own : dealt) plan.rounds = std::max(plan.rounds, static_cast<int32_t>(own.size()));
  plan.units.resize(static_cast<size_t>(plan.rounds + 1) * dealt.size());
  for (size_t block = 0; block < dealt.size(); ++block) {
    for (size_t round = 0; round < dealt[block].size(); ++round) {
      plan.units[round * dealt.size() + block] = units[static_cast<size_t>(dealt[block][round])];
    }
  }
  return plan;
}

}  // namespace tern
