// Plans of decode attention: every key of every row exactly once, within the workspace, and balanced.
#include "kernels/attention/decode_attention_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <tuple>

namespace tern {
namespace {

constexpr int32_t kBlocks = 132;

DecodeAttentionDesc llama() { return {32, 8, 128, 64, DecodeKv::kBf16, 0.088f}; }

std::vector<SequenceSlice> sequences_of(const std::vector<int32_t>& keys, int32_t query_len) {
  std::vector<SequenceSlice> sequences;
  for (size_t i = 0; i < keys.size(); ++i) {
    sequences.push_back({static_cast<int32_t>(i) * query_len, query_len, keys[i] - query_len, nullptr});
  }
  return sequences;
}

DecodeAttentionPlan plan(const DecodeAttentionDesc& desc, const std::vector<int32_t>& keys, int32_t query_len = 1) {
  const std::vector<SequenceSlice> sequences = sequences_of(keys, query_len);
  const BatchShape batch = {sequences.data(), static_cast<int32_t>(sequences.size()),
                            static_cast<int32_t>(sequences.size()) * query_len, 0};
  return plan_decode_attention(desc, batch, decode_attention_rows(desc, query_len), kBlocks);
}

int64_t largest_load(const DecodeAttentionPlan& plan) {
  int64_t largest = 0;
  for (int32_t block = 0; block < plan.thread_blocks; ++block) {
    int64_t load = 0;
    for (int32_t round = 0; round <= plan.rounds; ++round) {
      load += plan.units[static_cast<size_t>(round * plan.thread_blocks + block)].chunks;
    }
    largest = std::max(largest, load);
  }
  return largest;
}

// Each (sequence, head, first row) has nodes first_node .. nodes - 1, of 2^level chunks each but the last, in slots of
// its own; together they take every chunk from that of the first visible key on.
void expect_complete(const DecodeAttentionDesc& desc, const std::vector<int32_t>& keys, int32_t query_len,
                     const DecodeAttentionPlan& plan) {
  std::map<std::tuple<int, int, int>, std::map<int, DecodeUnit>> found;
  std::vector<int> used(static_cast<size_t>(plan.slots));
  for (int32_t block = 0; block < plan.thread_blocks; ++block) {
    bool ended = false;
    for (int32_t round = 0; round <= plan.rounds; ++round) {
      const DecodeUnit& unit = plan.units[static_cast<size_t>(round * plan.thread_blocks + block)];
      ended = ended || unit.chunks == 0;
      ASSERT_EQ(unit.chunks == 0, ended) << "a unit behind the end";
      if (ended) continue;
      const std::tuple<int, int, int> at = {unit.sequence, unit.kv_head, unit.first_row};
      ASSERT_TRUE(found[at].emplace(unit.node, unit).second);
      if (unit.nodes - unit.first_node > 1) ++used.at(static_cast<size_t>(unit.slot + unit.node - unit.first_node));
    }
    ASSERT_TRUE(ended);
  }
  EXPECT_TRUE(std::all_of(used.begin(), used.end(), [](int count) { return count == 1; }));
  const int32_t rows = query_len * (desc.heads / desc.kv_heads), row_blocks = (rows + plan.rows - 1) / plan.rows;
  ASSERT_EQ(found.size(), keys.size() * static_cast<size_t>(desc.kv_heads * row_blocks));
  for (const auto& [at, nodes] : found) {
    const int32_t own = keys[static_cast<size_t>(std::get<0>(at))];
    const int32_t chunks = (own + kDecodeChunk - 1) / kDecodeChunk;
    const int32_t position = own - query_len + std::get<2>(at) / (desc.heads / desc.kv_heads);
    const int32_t first = desc.window > 0 ? std::max(position - desc.window + 1, 0) : 0;
    int32_t next = first / kDecodeChunk;
    for (const auto& [index, unit] : nodes) {
      ASSERT_EQ(unit.nodes - unit.first_node, static_cast<int32_t>(nodes.size()));
      ASSERT_EQ(unit.first_key, first);
      ASSERT_EQ(unit.first_chunk + unit.skip, next);
      ASSERT_EQ(unit.first_chunk, index << plan.levels);
      ASSERT_EQ(unit.rows, std::min(plan.rows, rows - unit.first_row));
      next = unit.first_chunk + unit.chunks;
    }
    ASSERT_EQ(next, chunks);
  }
}

TEST(DecodeAttentionPlan, CoversEveryKeyOfEveryRowOnce) {
  std::mt19937 random(3);
  for (int round = 0; round < 80; ++round) {
    const int32_t kv_heads = 1 << random() % 4, group = 1 + static_cast<int32_t>(random() % 8);
    const int32_t window = round % 2 == 0 ? 0 : 1 + static_cast<int32_t>(random() % (1u << random() % 17));
    const DecodeAttentionDesc desc = {kv_heads * group, kv_heads, 128, 16, DecodeKv::kBf16, 1, window};
    const int32_t query_len = 1 + static_cast<int32_t>(random() % 8);
    std::vector<int32_t> keys(1 + random() % 40);
    int64_t all = 0;
    for (int32_t& n : keys) {
      n = query_len + static_cast<int32_t>(random() % (1u << random() % 17));
      all += n;
    }
    const DecodeAttentionPlan made = plan(desc, keys, query_len);
    expect_complete(desc, keys, query_len, made);
    EXPECT_LE(made.slots, decode_attention_slots(desc, kBlocks, query_len, all));
  }
}

TEST(DecodeAttentionPlan, FillsTheMultiprocessors) {
  struct Case {
    int32_t sequences, keys;
    double share;  // of the ideal load at least
  };
  for (const Case& c : {Case{1, 1024, 0.4}, Case{1, 16384, 0.9}, Case{1, 65536, 0.9}, Case{8, 4096, 0.9},
                        Case{32, 8192, 0.9}, Case{7, 5000, 0.8}, Case{128, 1024, 0.9}}) {
    const DecodeAttentionPlan made = plan(llama(), std::vector<int32_t>(static_cast<size_t>(c.sequences), c.keys));
    const double ideal = 8.0 * c.sequences * c.keys / kDecodeChunk / kBlocks;
    EXPECT_GE(ideal, c.share * static_cast<double>(largest_load(made))) << c.sequences << " x " << c.keys;
  }
}

TEST(DecodeAttentionPlan, TakesTheLongestContext) {
  const DecodeAttentionPlan made = plan(llama(), {kDecodeMaxKeys, 1, 129});
  expect_complete(llama(), {kDecodeMaxKeys, 1, 129}, 1, made);
  EXPECT_EQ(made.levels, kDecodeLevels);
}

TEST(DecodeAttentionPlan, AnEmptyBatchIsAnEmptyPlan) {
  const DecodeAttentionPlan made = plan(llama(), {});
  EXPECT_EQ(made.rounds, 0);
  EXPECT_EQ(made.units.size(), static_cast<size_t>(kBlocks));
  EXPECT_EQ(made.units[0].chunks, 0);
}

}  // namespace
}  // namespace tern
