// Plans of prefill attention: every strip exactly once with the pages that it sees, and balanced.
#include "kernels/attention/prefill_attention_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <tuple>

namespace tern {
namespace {

constexpr int32_t kBlocks = 132;

struct Prompt {
  int32_t tokens, history;
};

std::vector<SequenceSlice> sequences_of(const std::vector<Prompt>& prompts) {
  std::vector<SequenceSlice> sequences;
  int32_t begin = 0;
  for (const Prompt& prompt : prompts) {
    sequences.push_back({begin, prompt.tokens, prompt.history, nullptr});
    begin += prompt.tokens;
  }
  return sequences;
}

BatchShape batch_of(const std::vector<SequenceSlice>& sequences) {
  return {sequences.data(), static_cast<int32_t>(sequences.size()), 0, 0};
}

const PrefillUnit& unit_at(const PrefillAttentionPlan& plan, int32_t round, int32_t block) {
  return plan.units[static_cast<size_t>(round * plan.thread_blocks + block)];
}

// Which positions a strip's tokens see, and that its unit has their pages and no others at the ends.
void expect_pages(const PrefillAttentionDesc& desc, const SequenceSlice& sequence, const PrefillUnit& unit,
                  int32_t strips) {
  const int32_t group = desc.heads / desc.kv_heads;
  int32_t first = sequence.history_len + sequence.query_len, last = 0;
  for (int32_t strip = unit.first_strip; strip < unit.first_strip + strips; ++strip) {
    for (int32_t i = 0; i < kPrefillStrip; ++i) {
      const int32_t token = strip / group * kPrefillStrip + i, position = sequence.history_len + token;
      if (token >= sequence.query_len) continue;
      last = std::max(last, position);
      first = std::min(first, desc.window > 0 ? std::max(position - desc.window + 1, 0) : 0);
    }
  }
  ASSERT_EQ(unit.first_page, first / kPrefillPage);
  ASSERT_EQ(unit.end_page, last / kPrefillPage + 1);
}

void expect_complete(const PrefillAttentionDesc& desc, const std::vector<Prompt>& prompts, int32_t strips) {
  const std::vector<SequenceSlice> sequences = sequences_of(prompts);
  const PrefillAttentionPlan plan = plan_prefill_attention(desc, batch_of(sequences), strips, kBlocks);
  std::map<std::tuple<int, int, int>, int> found;
  for (int32_t block = 0; block < kBlocks; ++block) {
    bool ended = false;
    for (int32_t round = 0; round <= plan.rounds; ++round) {
      const PrefillUnit& unit = unit_at(plan, round, block);
      ended = ended || unit.end_page == 0;
      ASSERT_EQ(unit.end_page == 0, ended) << "a unit behind the end";
      if (ended) continue;
      const SequenceSlice& sequence = sequences.at(static_cast<size_t>(unit.sequence));
      ASSERT_EQ(unit.query_begin, sequence.query_begin);
      ASSERT_EQ(unit.query_len, sequence.query_len);
      ASSERT_EQ(unit.history, sequence.history_len);
      expect_pages(desc, sequence, unit, strips);
      for (int32_t i = 0; i < strips; ++i) ++found[{unit.sequence, unit.kv_head, unit.first_strip + i}];
    }
    ASSERT_TRUE(ended);
  }
  for (int32_t s = 0; s < static_cast<int32_t>(prompts.size()); ++s) {
    const int32_t all = (prompts[static_cast<size_t>(s)].tokens + 63) / 64 * (desc.heads / desc.kv_heads);
    for (int32_t head = 0; head < desc.kv_heads; ++head) {
      for (int32_t strip = 0; strip < all; ++strip) {
        const std::tuple<int, int, int> key = {s, head, strip};
        ASSERT_EQ(found[key], 1) << s << " " << head << " " << strip;
      }
    }
  }
}

TEST(PrefillAttentionPlan, HasEveryStripOnceWithItsPages) {
  const std::vector<Prompt> prompts = {{1, 0}, {64, 0}, {65, 63}, {500, 1000}, {1, 4095}, {1, 4096}, {2000, 1}};
  for (const int32_t strips : {1, 2, 3, 4}) {
    for (const int32_t window : {0, 1, 64, 100, 5000}) {
      expect_complete({32, 8, 128, 64, window, 0.1f}, prompts, strips);
      expect_complete({14, 2, 64, 64, window, 0.1f}, prompts, strips);
      expect_complete({5, 5, 64, 128, window, 0.1f}, prompts, strips);
    }
  }
}

TEST(PrefillAttentionPlan, LeavesOutSequencesWithoutQueries) {
  expect_complete({8, 2, 128, 64, 0, 0.1f}, {{0, 100}, {10, 5}, {0, 0}}, 2);
  EXPECT_EQ(plan_prefill_attention({8, 2, 128, 64, 0, 0.1f}, {nullptr, 0, 0, 0}, 2, kBlocks).rounds, 0);
}

TEST(PrefillAttentionPlan, SharesTheWorkEvenly) {
  for (const int32_t length : {512, 2048, 16384}) {
    const std::vector<SequenceSlice> sequences =
        sequences_of(std::vector<Prompt>(static_cast<size_t>(16384 / length), {length, 0}));
    const PrefillAttentionPlan plan =
        plan_prefill_attention({32, 8, 128, 64, 0, 0.1f}, batch_of(sequences), 2, kBlocks);
    int64_t most = 0, all = 0;
    for (int32_t block = 0; block < kBlocks; ++block) {
      int64_t load = 0;
      for (int32_t round = 0; round < plan.rounds; ++round) {
        const PrefillUnit& unit = unit_at(plan, round, block);
        load += unit.end_page - unit.first_page;
      }
      most = std::max(most, load);
      all += load;
    }
    EXPECT_LE(static_cast<double>(most) * kBlocks, 1.03 * static_cast<double>(all)) << length;
  }
}

TEST(PrefillAttentionPlan, CountsPairs) {
  for (const int32_t window : {0, 1, 10, 100}) {
    const std::vector<SequenceSlice> sequences = sequences_of({{7, 0}, {50, 5}, {20, 300}, {1, 99}, {3, 98}});
    double pairs = 0;
    for (const SequenceSlice& sequence : sequences) {
      for (int32_t i = 0; i < sequence.query_len; ++i) {
        const int32_t seen = sequence.history_len + i + 1;
        pairs += window > 0 ? std::min(seen, window) : seen;
      }
    }
    EXPECT_EQ(prefill_attention_pairs({8, 2, 128, 64, window, 0.1f}, batch_of(sequences)), pairs) << window;
  }
}

}  // namespace
}  // namespace tern
