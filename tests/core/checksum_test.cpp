// The checksum of files that tern writes and reads back: what it must notice, at every length.
#include "core/checksum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "core/rng.h"

namespace tern {
namespace {

std::vector<std::byte> random_bytes(size_t count) {
  std::vector<std::byte> bytes(count);
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(random_bits(count, i));
  return bytes;
}

TEST(Checksum, EveryFlippedBitOfEveryLengthIsNoticed) {
  for (const size_t count : {1, 7, 8, 63, 64, 65, 128, 200}) {
    std::vector<std::byte> bytes = random_bytes(count);
    const uint64_t sum = checksum64(bytes);
    for (size_t bit = 0; bit < 8 * count; ++bit) {
      const auto mask = static_cast<std::byte>(1u << bit % 8);
      bytes[bit / 8] ^= mask;
      EXPECT_NE(checksum64(bytes), sum) << count << " bytes, bit " << bit;
      bytes[bit / 8] ^= mask;
    }
    EXPECT_EQ(checksum64(bytes), sum);
  }
}

// The two upper bits of neighbours in one lane: what a sum without rotation cancels.
TEST(Checksum, PairsOfFlippedBitsAreNoticed) {
  std::vector<std::byte> bytes = random_bytes(256);
  std::set<uint64_t> sums{checksum64(bytes)};
  size_t count = 1;
  for (size_t a = 0; a < 2048; a += 7) {
    for (size_t b = a + 1; b < 2048; b += 64) {
      bytes[a / 8] ^= static_cast<std::byte>(1u << a % 8);
      bytes[b / 8] ^= static_cast<std::byte>(1u << b % 8);
      sums.insert(checksum64(bytes));
      ++count;
      bytes[a / 8] ^= static_cast<std::byte>(1u << a % 8);
      bytes[b / 8] ^= static_cast<std::byte>(1u << b % 8);
    }
  }
  EXPECT_EQ(sums.size(), count);
}

TEST(Checksum, ZerosOfEveryLengthAndSwappedWordsDiffer) {
  std::set<uint64_t> sums;
  for (size_t count = 0; count <= 300; ++count) sums.insert(checksum64(std::vector<std::byte>(count)));
  EXPECT_EQ(sums.size(), 301u);
  std::vector<std::byte> bytes = random_bytes(192);
  const uint64_t sum = checksum64(bytes);
  for (size_t distance : {8, 64, 128}) {  // another lane; the same lane later
    std::swap_ranges(bytes.begin(), bytes.begin() + 8, bytes.begin() + static_cast<std::ptrdiff_t>(distance));
    EXPECT_NE(checksum64(bytes), sum) << distance;
    std::swap_ranges(bytes.begin(), bytes.begin() + 8, bytes.begin() + static_cast<std::ptrdiff_t>(distance));
  }
}

}  // namespace
}  // namespace tern
