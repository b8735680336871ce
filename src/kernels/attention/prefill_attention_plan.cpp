#include "kernels/attention/prefill_attention_plan.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <queue>
#include <utility>

#include "core/error.h"

namespace tern {
namespace {

// What a unit costs beside its pages (queries in, the first softmax, output), in pages: an estimate.
constexpr int64_t kUnitOverhead = 2;
// Keys and values that thread blocks work on at one time: a third of the L2 cache, so that neighbours that are not
// quite abreast find them there, and q and out pass by.
constexpr int64_t kGroupBytes = 16 << 20;

int32_t divide_up(int32_t a, int32_t b) { return (a + b - 1) / b; }

// Units of one KV head of one sequence.
void append_units(const PrefillAttentionDesc& desc, const BatchShape& batch, int32_t sequence, int32_t kv_head,
                  int32_t strips, std::vector<PrefillUnit>* units) {
  const SequenceSlice& slice = batch.sequences[sequence];
  const int32_t group = desc.heads / desc.kv_heads;
  const int32_t all = divide_up(slice.query_len, kPrefillStrip) * group;
  for (int32_t strip = 0; strip < all; strip += strips) {
    const int32_t last = std::min(strip + strips, all) - 1;
    const int32_t begin = strip / group * kPrefillStrip;
    const int32_t end = std::min((last / group + 1) * kPrefillStrip, slice.query_len);
    const int32_t seen = desc.window > 0 ? std::max(slice.history_len + begin + 1 - desc.window, 0) : 0;
    units->push_back({sequence, slice.query_begin, slice.query_len, slice.history_len, kv_head, strip,
                      seen / kPrefillPage, divide_up(slice.history_len + end, kPrefillPage)});
  }
}

// Sequences and KV heads whose keys and values fit into the cache together are one group, the longest sequences first;
// within it the longest units are first.
std::vector<PrefillUnit> ordered_units(const PrefillAttentionDesc& desc, const BatchShape& batch, int32_t strips) {
  const auto keys = [&](int32_t i) { return batch.sequences[i].history_len + batch.sequences[i].query_len; };
  std::vector<int32_t> order(static_cast<size_t>(batch.sequence_count));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return keys(a) > keys(b); });
  std::vector<PrefillUnit> units;
  size_t begin = 0;
  const auto close = [&] {
    std::stable_sort(units.begin() + static_cast<int64_t>(begin), units.end(),
                     [](const PrefillUnit& a, const PrefillUnit& b) {
                       return a.end_page - a.first_page > b.end_page - b.first_page;
                     });
    begin = units.size();
  };
  int64_t bytes = 0;
  for (const int32_t sequence : order) {
    for (int32_t head = 0; head < desc.kv_heads; ++head) {
      const int64_t own = int64_t{4} * keys(sequence) * desc.head_dim;
      if (bytes > 0 && bytes + own > kGroupBytes) close(), bytes = 0;
      bytes += own;
      append_units(desc, batch, sequence, head, strips, &units);
    }
  }
  close();
  return units;
}

}  // namespace

PrefillAttentionPlan plan_prefill_attention(const PrefillAttentionDesc& desc, const BatchShape& batch, int32_t strips,
                                            int32_t thread_blocks) {
  TERN_CHECK(strips > 0 && thread_blocks > 0);
  PrefillAttentionPlan plan;
  plan.thread_blocks = thread_blocks;
  const auto blocks = static_cast<size_t>(thread_blocks);
  std::vector<std::vector<PrefillUnit>> dealt(blocks);
  using Load = std::pair<int64_t, size_t>;
  std::priority_queue<Load, std::vector<Load>, std::greater<>> loads;
  for (size_t i = 0; i < blocks; ++i) loads.push({0, i});
  for (const PrefillUnit& unit : ordered_units(desc, batch, strips)) {
    Load load = loads.top();  // whoever is done first
    loads.pop();
    load.first += unit.end_page - unit.first_page + kUnitOverhead;
    loads.push(load);
    dealt[load.second].push_back(unit);
    plan.rounds = std::max(plan.rounds, static_cast<int32_t>(dealt[load.second].size()));
  }
  plan.units.resize(static_cast<size_t>(plan.rounds + 1) * blocks);
  for (size_t block = 0; block < blocks; ++block) {
    for (size_t round = 0; round < dealt[block].size(); ++round) {
      plan.units[round * blocks + block] = dealt[block][round];
    }
  }
  return plan;
}

double prefill_attention_pairs(const PrefillAttentionDesc& desc, const BatchShape& batch) {
  const auto triangle = [](double n) { return n * (n + 1) / 2; };  // pairs of n tokens without history
  double pairs = 0;
  for (int32_t i = 0; i < batch.sequence_count; ++i) {
    const double history = batch.sequences[i].history_len, end = history + batch.sequences[i].query_len;
    pairs += triangle(end) - triangle(history);
    if (desc.window == 0) continue;
    const double window = desc.window;
    pairs -= triangle(std::max(end - window, 0.0)) - triangle(std::max(history - window, 0.0));
  }
  return pairs;
}

}  // namespace tern
