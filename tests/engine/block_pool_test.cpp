// Blocks change hands between free, referenced and cached, and none is lost.
#include "engine/kv/block_pool.h"

#include <gtest/gtest.h>

namespace tern {
namespace {

TEST(BlockPool, GivesFreeBlocksBeforeCachedOnes) {
  BlockPool pool(3);
  const int32_t a = pool.allocate()->block, b = pool.allocate()->block;
  EXPECT_NE(a, b);
  pool.release(a, true);
  const auto third = pool.allocate();
  EXPECT_FALSE(third->evicted);
  EXPECT_NE(third->block, a);
  const auto fourth = pool.allocate();
  EXPECT_TRUE(fourth->evicted);
  EXPECT_EQ(fourth->block, a);
  EXPECT_FALSE(pool.allocate().has_value());
}

TEST(BlockPool, EvictsWhatWasReleasedLongestAgo) {
  BlockPool pool(3);
  int32_t blocks[3];
  for (int32_t& block : blocks) block = pool.allocate()->block;
  for (const int i : {1, 0, 2}) pool.release(blocks[i], true);
  pool.share(blocks[1]);  // used again: it becomes the latest
  pool.release(blocks[1], true);
  for (const int i : {0, 2, 1}) EXPECT_EQ(pool.allocate()->block, blocks[i]);
}

TEST(BlockPool, CountsItsOwners) {
  BlockPool pool(2);
  const int32_t block = pool.allocate()->block;
  pool.share(block);
  EXPECT_EQ(pool.references(block), 2);
  pool.release(block, true);
  EXPECT_EQ(pool.referenced(), 1);
  EXPECT_EQ(pool.cached(), 0);
  pool.release(block, true);
  EXPECT_EQ(pool.referenced(), 0);
  EXPECT_EQ(pool.cached(), 1);
  EXPECT_EQ(pool.available(), 2);
  pool.forget(block);
  EXPECT_EQ(pool.cached(), 0);
  EXPECT_EQ(pool.available(), 2);
}

TEST(BlockPoolDeathTest, RefusesToShareOrReleaseWhatIsFree) {
  BlockPool pool(2);
  EXPECT_DEATH(pool.share(1), "internal error");
  EXPECT_DEATH(pool.release(1, false), "internal error");
}

}  // namespace
}  // namespace tern
