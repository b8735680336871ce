// Unigram on a vocabulary of a few pieces, and compiled normalization rules that are any bytes.
#include "text/unigram.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "core/error.h"
#include "text/charsmap.h"

namespace tern {
namespace {

using Ids = std::vector<int32_t>;

class UnigramPieces : public testing::Test {
 protected:
  Ids encode(std::string_view text, Unigram::Options options = {.unknown = 0}) const {
    Ids ids;
    Unigram(vocabulary_, scores_, options, "test").encode(text, ids);
    return ids;
  }

  const std::vector<std::string_view> pieces_{"<unk>", "a", "b", "ab", "abc", "c", "\xC3\xA9", "<0xC3>", "<0xA0>"};
  const std::vector<int64_t> types_{2, 1, 1, 1, 1, 1, 1, 6, 6};
  const std::vector<double> scores_{0, -3, -3, -4, -9, -2, -1, 0, 0};
  const Vocabulary vocabulary_{pieces_, types_, "test"};
};

TEST_F(UnigramPieces, TheBestSumWinsNotTheLongestPiece) {
  EXPECT_EQ(encode("ab"), (Ids{3}));      // -4 before -6
  EXPECT_EQ(encode("abc"), (Ids{3, 5}));  // -6 before -9
  EXPECT_EQ(encode("\xC3\xA9"), (Ids{6}));
  EXPECT_EQ(encode(""), Ids{});
}

TEST_F(UnigramPieces, UnknownNeighboursAreOneToken) {
  EXPECT_EQ(encode("xyza"), (Ids{0, 1}));
  EXPECT_EQ(encode("axb"), (Ids{1, 0, 2}));
  EXPECT_EQ(encode("x", {}), Ids{});
}

TEST_F(UnigramPieces, UnknownCharactersFallBackOnTheirBytes) {
  EXPECT_EQ(encode("\xC3\xA0"
                   "a"),
            (Ids{7, 8, 1}));
  EXPECT_EQ(encode("\xC3\xA0", {.unknown = 0, .byte_tokens = false}), (Ids{0}));
}

TEST_F(UnigramPieces, ScoresAreOneFiniteNumberAToken) {
  EXPECT_THROW(Unigram(vocabulary_, std::span(scores_).first(3), {}, "test"), Error);
  std::vector<double> scores = scores_;
  scores[1] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(Unigram(vocabulary_, scores, {}, "test"), Error);
}

TEST(CharsMap, AnyBytesAreRefusedOrSafe) {
  std::mt19937_64 random(5);
  size_t read = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string blob(4 + random() % 600, '\0');
    for (char& byte : blob) byte = static_cast<char>(random() % 3 == 0 ? 0 : random());
    const auto trie_bytes = static_cast<uint32_t>(random() % blob.size() / 4 * 4);
    std::memcpy(blob.data(), &trie_bytes, sizeof trie_bytes);
    try {
      const CharsMap rules(blob, "test");
      EXPECT_LE(rules.apply("hello \xC3\xA9 w\xCC\x81rld").size(), 16 * 3 * 128u);
      rules.apply_by_grapheme("hello \xC3\xA9 w\xCC\x81rld");
      ++read;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    }
  }
  EXPECT_GT(read, 100u);
}

TEST(CharsMap, NoRulesChangeNothing) { EXPECT_EQ(CharsMap("", "test").apply("a b"), "a b"); }

}  // namespace
}  // namespace tern
