// WordPiece on a vocabulary of a few words: what begins a word and what goes on in one, unknown words, the frame of
// control tokens, text back from tokens.
#include <gtest/gtest.h>

#include "test_vocabulary.h"
#include "text/tokenizer.h"

namespace tern {
namespace {

const std::string kBegins = "\xE2\x96\x81";

std::shared_ptr<const Tokenizer> bert(std::vector<std::pair<std::string, MetadataValue>> keys = {}) {
  testing::VocabularyParts parts;
  for (const char* control : {"[PAD]", "[UNK]", "[CLS]", "[SEP]"}) parts.add(control, 3);
  for (const char* word : {"un", "a", "the", ",", "\xE4\xB8\xAD"}) parts.add(kBegins + word);
  for (const char* rest : {"aff", "able", "b"}) parts.add(rest);
  parts.keys = std::move(keys);
  return Tokenizer::from_metadata(testing::to_metadata(parts, "bert"));
}

std::vector<std::string> pieces(const Tokenizer& tokenizer, std::string_view text, bool add_special = false) {
  std::vector<std::string> all;
  for (const int32_t id : tokenizer.encode(text, {.add_special = add_special})) all.emplace_back(tokenizer.piece(id));
  return all;
}

using Pieces = std::vector<std::string>;

TEST(WordPiece, TheLongestPieceGoesFirst) {
  EXPECT_EQ(pieces(*bert(), "unaffable"), (Pieces{kBegins + "un", "aff", "able"}));
  EXPECT_EQ(pieces(*bert(), "ab"), (Pieces{kBegins + "a", "b"}));
}

TEST(WordPiece, AWordWithARestIsUnknownAsAWhole) {
  EXPECT_EQ(pieces(*bert(), "unaffabl the"), (Pieces{"[UNK]", kBegins + "the"}));
  EXPECT_EQ(pieces(*bert(), "b"), Pieces{"[UNK]"});  // only goes on
  EXPECT_EQ(pieces(*bert(), "a" + std::string(99, 'b')).size(), 100u);
  EXPECT_EQ(pieces(*bert(), "a" + std::string(100, 'b')), Pieces{"[UNK]"});
}

TEST(WordPiece, TextIsNormalizedAndCut) {
  EXPECT_EQ(pieces(*bert(), "TH\xC3\x89,the"), (Pieces{kBegins + "the", kBegins + ",", kBegins + "the"}));
  EXPECT_EQ(pieces(*bert(),
                   "a\xE4\xB8\xAD"
                   "a"),
            (Pieces{kBegins + "a", kBegins + "\xE4\xB8\xAD", kBegins + "a"}));
  EXPECT_EQ(pieces(*bert(), std::string("a\0b\xFF", 4)), (Pieces{kBegins + "a", "b"}));
  const auto cased = bert({{"tokenizer.ggml.normalizer.lowercase", MetadataValue{false}}});
  EXPECT_EQ(pieces(*cased, "the The"), (Pieces{kBegins + "the", "[UNK]"}));
  EXPECT_EQ(pieces(*cased, "th\xC3\xA9"), Pieces{"[UNK]"});
}

TEST(WordPiece, ControlTokensStandAroundAText) {
  EXPECT_EQ(pieces(*bert(), "a", true), (Pieces{"[CLS]", kBegins + "a", "[SEP]"}));
  EXPECT_EQ(pieces(*bert({{"tokenizer.ggml.add_eos_token", MetadataValue{false}}}), "a", true),
            (Pieces{"[CLS]", kBegins + "a"}));
}

TEST(WordPiece, TextComesBack) {
  const auto tokenizer = bert();
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("The unaffable a")), "the unaffable a");
}

}  // namespace
}  // namespace tern
