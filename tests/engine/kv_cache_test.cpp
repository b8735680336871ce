// Tables over pools: sharing by content, copies at forks, windows, and what is found when.
#include "engine/kv/kv_cache.h"

#include <gtest/gtest.h>

#include <numeric>

namespace tern {
namespace {

std::vector<int32_t> tokens(int32_t count, int32_t first = 1) {
  std::vector<int32_t> out(static_cast<size_t>(count));
  std::iota(out.begin(), out.end(), first);
  return out;
}

KvOptions options(std::vector<KvGroup> groups) {
  return {.groups = std::move(groups), .block_tokens = 4, .max_step_tokens = 16, .reach_tokens = 4};
}

// A table of a sequence that has computed all its tokens.
KvTable computed(KvCache& kv, const std::vector<int32_t>& prompt, std::string_view salt = "") {
  KvTable table = kv.table(salt);
  const TokenSpans spans{prompt, {}};
  kv.name_blocks(table, spans);
  kv.lookup(table, spans, spans.size() - 1);
  EXPECT_TRUE(kv.grow(table, spans.size()));
  kv.publish(table, spans, spans.size());
  return table;
}

int64_t found(KvCache& kv, const std::vector<int32_t>& prompt, std::string_view salt = "") {
  KvTable table = kv.table(salt);
  const TokenSpans spans{prompt, {}};
  kv.name_blocks(table, spans);
  const int64_t count = kv.lookup(table, spans, spans.size() - 1);
  kv.release(table);
  return count;
}

TEST(KvCache, FindsOnlyWhatIsWrittenAndKeepsTheLastTokenToCompute) {
  KvCache kv(options({{16, 0}}));
  const auto prompt = tokens(12);
  KvTable table = kv.table("");
  const TokenSpans spans{prompt, {}};
  kv.name_blocks(table, spans);
  ASSERT_TRUE(kv.grow(table, 12));
  EXPECT_EQ(found(kv, prompt), 0);
  kv.publish(table, spans, 7);
  EXPECT_EQ(found(kv, prompt), 4);
  kv.publish(table, spans, 12);
  EXPECT_EQ(found(kv, prompt), 8);  // the last token's logits are wanted
  EXPECT_EQ(found(kv, tokens(13)), 12);
  kv.release(table);
  EXPECT_EQ(found(kv, tokens(13)), 12);
  EXPECT_EQ(kv.pool(0).referenced(), 0);
}

TEST(KvCache, SharesUnderEqualSaltsOnly) {
  KvCache kv(options({{16, 0}}));
  KvTable table = computed(kv, tokens(9), "one");
  EXPECT_EQ(found(kv, tokens(9), "one"), 8);
  EXPECT_EQ(found(kv, tokens(9), "two"), 0);
  EXPECT_EQ(found(kv, tokens(9, 2), "one"), 0);
  kv.release(table);
}

TEST(KvCache, PinsWhatItFinds) {
  KvCache kv(options({{4, 0}}));
  KvTable first = computed(kv, tokens(9));
  kv.release(first);
  KvTable second = kv.table("");
  const auto prompt = tokens(9);
  const TokenSpans spans{prompt, {}};
  kv.name_blocks(second, spans);
  ASSERT_EQ(kv.lookup(second, spans, 8), 8);
  KvTable other = kv.table("");
  EXPECT_FALSE(kv.grow(other, 12));  // two of four are pinned
  EXPECT_TRUE(kv.grow(other, 8));
  EXPECT_EQ(kv.pool(0).available(), 0);
  kv.release(other);
  kv.release(second);
}

TEST(KvCache, EvictsTailsBeforeHeads) {
  KvCache kv(options({{4, 0}}));
  KvTable first = computed(kv, tokens(16));
  kv.release(first);
  KvTable other = kv.table("");
  ASSERT_TRUE(kv.grow(other, 4));
  EXPECT_EQ(found(kv, tokens(17)), 12);
  ASSERT_TRUE(kv.grow(other, 8));
  EXPECT_EQ(found(kv, tokens(17)), 8);
  kv.release(other);
}

TEST(KvCache, AForkSharesFullBlocksAndCopiesThePartialOne) {
  KvCache kv(options({{16, 0}}));
  KvTable table = computed(kv, tokens(10));
  KvTable fork = kv.table("");
  std::vector<BlockCopy> copies;
  ASSERT_TRUE(kv.fork(table, 10, fork, copies));
  ASSERT_EQ(copies.size(), 1u);
  EXPECT_EQ(copies[0].from, table.groups[0].blocks[2]);
  EXPECT_EQ(copies[0].to, fork.groups[0].blocks[2]);
  EXPECT_EQ(fork.groups[0].blocks[1], table.groups[0].blocks[1]);
  EXPECT_EQ(kv.pool(0).references(table.groups[0].blocks[1]), 2);
  EXPECT_EQ(kv.pool(0).references(copies[0].to), 1);
  kv.release(table);
  kv.release(fork);
  EXPECT_EQ(kv.pool(0).referenced(), 0);
}

TEST(KvCache, AForkWithoutABlockForItsCopyChangesNothing) {
  KvCache kv(options({{3, 0}}));
  KvTable table = computed(kv, tokens(10));
  KvTable fork = kv.table("");
  std::vector<BlockCopy> copies;
  EXPECT_FALSE(kv.fork(table, 10, fork, copies));
  EXPECT_TRUE(copies.empty());
  EXPECT_EQ(kv.pool(0).references(table.groups[0].blocks[0]), 1);
  kv.release(table);
}

TEST(KvCache, GivesBackWhatNoWindowReaches) {
  KvCache kv(options({{8, 0}, {8, 6}}));
  KvTable table = computed(kv, tokens(20));
  kv.trim(table, 20);  // position 20 sees from 15 on: block 3
  EXPECT_EQ(table.groups[0].first, 0);
  EXPECT_EQ(table.groups[1].first, 3);
  EXPECT_EQ(kv.pool(0).referenced(), 5);
  EXPECT_EQ(kv.pool(1).referenced(), 2);
  kv.release(table);
  EXPECT_EQ(kv.pool(1).referenced(), 0);
  EXPECT_EQ(found(kv, tokens(21)), 20);
}

TEST(KvCache, APrefixIsUsableWhereEveryWindowHasItsBlocks) {
  KvCache kv(options({{8, 0}, {4, 6}}));
  KvTable table = computed(kv, tokens(16));
  kv.trim(table, 16);
  kv.release(table);  // group 1 caches blocks 0 to 3, the first two released first
  KvTable other = kv.table("");
  ASSERT_TRUE(kv.grow(other, 8));  // evicts two in group 1
  EXPECT_EQ(found(kv, tokens(17)), 16);
  EXPECT_EQ(found(kv, tokens(9)), 0);  // position 8 sees from 3 on, and block 0 is gone
  kv.release(other);
}

TEST(KvCache, WhatIsWithdrawnIsNotFoundAgain) {
  KvCache kv(options({{8, 0}, {8, 1}}));
  KvTable table = computed(kv, tokens(12));
  kv.trim(table, 12);  // the window has given everything back
  EXPECT_EQ(kv.pool(1).cached(), 3);
  kv.withdraw(table);
  EXPECT_EQ(kv.pool(1).cached(), 0);
  EXPECT_EQ(kv.index().nodes(), 0);
  EXPECT_EQ(found(kv, tokens(13)), 0);
  kv.release(table);
  EXPECT_EQ(kv.pool(0).cached(), 0);
  EXPECT_EQ(kv.pool(0).referenced(), 0);
}

TEST(KvCache, OffersItsOwnBlocksWhereAnothersEqualOnesAreGone) {
  KvCache kv(options({{8, 0}}));
  const auto prompt = tokens(8);
  const TokenSpans spans{prompt, {}};
  KvTable second = kv.table("");
  kv.name_blocks(second, spans);
  ASSERT_TRUE(kv.grow(second, 8));
  KvTable first = computed(kv, prompt);  // computed side by side, published first
  kv.publish(second, spans, 4);
  kv.withdraw(first);
  kv.release(first);
  EXPECT_EQ(found(kv, tokens(9)), 0);
  kv.publish(second, spans, 8);
  EXPECT_EQ(found(kv, tokens(9)), 8);
  kv.release(second);
}

TEST(KvCache, WithoutPrefixCachingNothingIsFound) {
  KvOptions off = options({{8, 0}});
  off.prefix_caching = false;
  KvCache kv(off);
  KvTable table = computed(kv, tokens(12));
  EXPECT_EQ(found(kv, tokens(12)), 0);
  kv.release(table);
  EXPECT_EQ(kv.pool(0).cached(), 0);
}

}  // namespace
}  // namespace tern
