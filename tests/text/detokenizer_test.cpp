// The incremental detokenizer: whole code points only, and in sum the same text as decoding at once.
#include "text/detokenizer.h"

#include <gtest/gtest.h>

#include <random>

#include "test_vocabulary.h"
#include "text/utf8.h"

namespace tern {
namespace {

TEST(Detokenizer, HoldsBackHalfACodePoint) {
  const auto tokenizer = testing::make_tokenizer();
  Detokenizer stream(tokenizer);
  const auto ids = tokenizer->encode("🙂", {.add_special = false});
  ASSERT_EQ(ids.size(), 4u);
  EXPECT_EQ(stream.push(ids[0]), "");
  EXPECT_EQ(stream.push(ids[1]), "");
  EXPECT_EQ(stream.push(2), "");  // a control token says nothing
  EXPECT_EQ(stream.push(ids[2]), "");
  EXPECT_EQ(stream.push(ids[3]), "🙂");
  EXPECT_EQ(stream.finish(), "");
}

TEST(Detokenizer, ReplacesWhatCannotBecomeValid) {
  const auto tokenizer = testing::make_tokenizer();
  Detokenizer stream(tokenizer);
  const auto ids = tokenizer->encode("\xf0\x9f", {.add_special = false});
  EXPECT_EQ(stream.push(ids[0]), "");
  EXPECT_EQ(stream.push(ids[1]), "");
  EXPECT_EQ(stream.push(*tokenizer->find("a")),
            "\xEF\xBF\xBD"
            "a");
  EXPECT_EQ(stream.push(ids[0]), "");
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
  EXPECT_EQ(stream.finish(), "");
}

TEST(Detokenizer, StreamedTextIsTheText) {
  const auto tokenizer = testing::make_tokenizer();
  std::mt19937_64 rng(11);
  for (int round = 0; round < 2000; ++round) {
    std::vector<int32_t> ids(rng() % 40);
    for (auto& id : ids) id = static_cast<int32_t>(rng() % tokenizer->vocab_size());
    const bool keep = rng() % 2 == 0;
    Detokenizer stream(tokenizer, keep);
    std::string streamed;
    for (const int32_t id : ids) {
      const std::string part = stream.push(id);
      EXPECT_EQ(valid_utf8_length(part, 0), part.size());
      streamed += part;
    }
    streamed += stream.finish();
    EXPECT_EQ(streamed, replace_invalid_utf8(tokenizer->decode(ids, keep)));
  }
}

}  // namespace
}  // namespace tern
