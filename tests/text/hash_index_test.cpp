// The index of hashes: everything is found, nothing else is, whatever the number of entries; and made collisions are
// noticed.
#include "text/hash_index.h"

#include <gtest/gtest.h>

#include <random>

namespace tern {
namespace {

TEST(HashIndex, FindsEverythingAndNothingElse) {
  for (const uint32_t entries : {0u, 1u, 2u, 3u, 255u, 256u, 4095u, 4096u, 50'000u}) {
    std::mt19937_64 random(entries);
    std::vector<uint64_t> hashes(entries);
    HashIndex index(entries);
    const auto equals = [&](uint64_t hash) { return [&, hash](uint32_t i) { return hashes.at(i) == hash; }; };
    for (uint32_t i = 0; i < entries; ++i) {
      hashes[i] = random();
      ASSERT_EQ(index.insert(hashes[i], i, equals(hashes[i])), HashIndex::Inserted::kYes);
    }
    for (uint32_t i = 0; i < entries; ++i) ASSERT_EQ(index.find(hashes[i], equals(hashes[i])), i) << entries;
    for (int i = 0; i < 1000; ++i) {
      const uint64_t absent = random();
      ASSERT_EQ(index.find(absent, equals(absent)), std::nullopt) << entries;
    }
    EXPECT_LE(index.bytes(), entries * 6 + 8);
  }
}

TEST(HashIndex, EqualHashesOfDifferentEntries) {
  HashIndex index(3);
  const auto is = [](uint32_t wanted) { return [wanted](uint32_t i) { return i == wanted; }; };
  for (uint32_t i = 0; i < 3; ++i) EXPECT_EQ(index.insert(7, i, is(i)), HashIndex::Inserted::kYes);
  for (uint32_t i = 0; i < 3; ++i) EXPECT_EQ(index.find(7, is(i)), i);
  EXPECT_EQ(index.insert(7, 1, is(1)), HashIndex::Inserted::kEqual);
}

// The tag decides before the entry is looked at: of 10,000 absent ones few cost a look.
TEST(HashIndex, TagsSpareLooks) {
  constexpr uint32_t kEntries = 150'000;
  std::mt19937_64 random(1);
  HashIndex index(kEntries);
  const auto none = [](uint32_t) { return false; };
  for (uint32_t i = 0; i < kEntries; ++i) ASSERT_EQ(index.insert(random(), i, none), HashIndex::Inserted::kYes);
  int looks = 0;
  for (int i = 0; i < 10'000; ++i) {
    index.find(random(), [&](uint32_t) { return ++looks, false; });
  }
  EXPECT_LT(looks, 50) << "five slots each at one in 2^14 would be 3";
}

TEST(HashIndex, NoticesMadeCollisions) {
  HashIndex index(5000);
  const auto none = [](uint32_t) { return false; };
  uint32_t i = 0;
  while (i < 5000 && index.insert(0, i, none) == HashIndex::Inserted::kYes) ++i;
  EXPECT_EQ(i, HashIndex::kLongestChain + 2);
}

}  // namespace
}  // namespace tern
