// A tree of blocks: found by name and content, alive while it has a block or a child.
#include "engine/kv/prefix_index.h"

#include <gtest/gtest.h>

#include <array>

namespace tern {
namespace {

constexpr std::array<int32_t, 1> kFourBlocks{4};

class PrefixIndexTest : public ::testing::Test {
 protected:
  // All names are equal: what differs is root, parent and tokens.
  PrefixIndex::Name name(PrefixNode parent, const std::array<int32_t, 2>& tokens) const {
    return {root_, parent, key_, tokens};
  }
  PrefixNode insert(PrefixNode parent, const std::array<int32_t, 2>& tokens, int32_t block) {
    PrefixNode node;
    EXPECT_TRUE(index_.insert(name(parent, tokens), node));
    index_.set_block(node, 0, block);
    return node;
  }
  PrefixIndex index_{kFourBlocks, 2};
  BlockKey root_{}, key_{};
};

TEST_F(PrefixIndexTest, ComparesTokensParentAndRootUnderEqualNames) {
  const PrefixNode a = insert({}, {1, 2}, 0);
  PrefixNode found;
  EXPECT_TRUE(index_.find(name({}, {1, 2}), found));
  EXPECT_EQ(found.number, a.number);
  EXPECT_FALSE(index_.find(name({}, {1, 3}), found));
  EXPECT_FALSE(index_.find(name(a, {1, 2}), found));
  root_[0] = 1;
  EXPECT_FALSE(index_.find(name({}, {1, 2}), found));
}

TEST_F(PrefixIndexTest, ANodeLivesWhileItHasABlockOrAChild) {
  const PrefixNode a = insert({}, {1, 2}, 0), b = insert(a, {3, 4}, 1);
  EXPECT_EQ(index_.parent(b).number, a.number);
  EXPECT_TRUE(index_.parent(a).is_root());
  index_.drop_block(0, 0);
  EXPECT_TRUE(index_.alive(a));
  EXPECT_EQ(index_.block(a, 0), PrefixIndex::kNoBlock);
  EXPECT_FALSE(index_.holds(0, 0));
  index_.drop_block(0, 1);
  EXPECT_FALSE(index_.alive(b));
  EXPECT_FALSE(index_.alive(a));
  EXPECT_EQ(index_.nodes(), 0);
}

TEST_F(PrefixIndexTest, ANumberUsedAgainIsAnotherNode) {
  const PrefixNode a = insert({}, {1, 2}, 0);
  index_.drop_block(0, 0);
  const PrefixNode b = insert({}, {5, 6}, 0);
  EXPECT_EQ(a.number, b.number);
  EXPECT_FALSE(index_.alive(a));
  EXPECT_TRUE(index_.alive(b));
}

TEST_F(PrefixIndexTest, DoesNotRememberWhatItHasNoRoomFor) {
  PrefixNode parent;
  for (int32_t i = 0; i < 8; ++i) ASSERT_TRUE(index_.insert(name(parent, {i, i}), parent));
  EXPECT_FALSE(index_.insert(name(parent, {9, 9}), parent));
}

}  // namespace
}  // namespace tern
