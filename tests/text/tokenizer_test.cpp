// The tokenizer on a small vocabulary: ids, special tokens, provenance, hostile metadata, and properties on random
// bytes.
#include "text/tokenizer.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <chrono>
#include <functional>
#include <random>

#include "core/error.h"
#include "test_vocabulary.h"
#include "text/segment_encoder.h"

namespace tern {
namespace {

using testing::make_tokenizer;
using testing::small_vocabulary;
using testing::to_metadata;
using testing::VocabularyParts;

std::vector<std::string> pieces(const Tokenizer& tokenizer, std::span<const int32_t> ids) {
  std::vector<std::string> all;
  for (const int32_t id : ids) all.emplace_back(tokenizer.piece(id));
  return all;
}

std::string random_bytes(std::mt19937_64& rng, size_t size) {
  static const std::vector<std::string> kParts{"a",    " ",    "hello", " hello",   "!!!",        "7",       "\n",
                                               "\r\n", "é",    "日本",  "🙂",       "<|im_end|>", "<us",     "'ll",
                                               "\xff", "\xe2", "\x80",  "\xf0\x9f", "\t",         "\xc2\x85"};
  std::string text;
  while (text.size() < size) {
    if (rng() % 4 == 0) {
      text.push_back(static_cast<char>(rng()));
    } else {
      text += kParts[rng() % kParts.size()];
    }
  }
  return text;
}

TEST(Tokenizer, MergesAndPieces) {
  const auto tokenizer = make_tokenizer();
  EXPECT_EQ(pieces(*tokenizer, tokenizer->encode("hello hello12")),
            (std::vector<std::string>{"hello", "\xC4\xA0hello", "1", "2"}));
  EXPECT_EQ(pieces(*tokenizer, tokenizer->encode("aaaaaaa")), (std::vector<std::string>{"aaaa", "aa", "a"}));
  EXPECT_EQ(pieces(*tokenizer, tokenizer->encode("é")), (std::vector<std::string>{"\xC3\x83\xC2\xA9"}));
  EXPECT_TRUE(tokenizer->encode("").empty());
}

TEST(Tokenizer, MergedTextIsNoControlToken) {
  VocabularyParts parts = small_vocabulary();
  parts.merge("<", "a");
  parts.types.back() = 3;
  for (const char* pre : {"smollm", "llama-bpe"}) {  // the second looks for whole words first
    parts.pre = pre;
    const auto tokenizer = make_tokenizer(parts);
    const auto plain = tokenizer->encode("<a", {.add_special = false, .parse_special = false});
    EXPECT_EQ(pieces(*tokenizer, plain), (std::vector<std::string>{"<", "a"})) << pre;
    const auto parsed = tokenizer->encode("<a", {.add_special = false});
    EXPECT_EQ(pieces(*tokenizer, parsed), (std::vector<std::string>{"<a"})) << pre;
  }
}

TEST(Tokenizer, LongWordsMergeAsShortOnesDo) {
  // The heap and the scan give the same answer: a long word is cut where a short one would be.
  const auto tokenizer = make_tokenizer();
  const auto ids = tokenizer->encode(std::string(100, 'a'));
  EXPECT_EQ(pieces(*tokenizer, ids),
            (std::vector<std::string>{std::string(32, 'a'), std::string(32, 'a'), std::string(32, 'a'), "aaaa"}));
}

TEST(Tokenizer, SpecialTokens) {
  const auto tokenizer = make_tokenizer();
  const std::string text = "<|im_start|>hello<user><|im_end|><|im_end";
  const auto all = tokenizer->encode(text);
  ASSERT_GE(all.size(), 4u);
  EXPECT_EQ(all[0], tokenizer->find("<|im_start|>"));
  EXPECT_EQ(all[2], tokenizer->find("<user>"));
  EXPECT_EQ(all[3], tokenizer->find("<|im_end|>"));
  EXPECT_EQ(tokenizer->decode(all, true), text);
  EXPECT_EQ(tokenizer->decode(all), "hello<user><|im_end");
  const auto plain = tokenizer->encode(text, {.parse_special = false});
  EXPECT_EQ(std::count(plain.begin(), plain.end(), *tokenizer->find("<|im_end|>")), 0);
  EXPECT_EQ(std::count(plain.begin(), plain.end(), *tokenizer->find("<user>")), 1);
  EXPECT_EQ(tokenizer->decode(plain), text);
}

TEST(Tokenizer, LongestSpecialTokenAtTheLeftmostPlace) {
  VocabularyParts parts = small_vocabulary();
  for (const char* token : {"<a>", "<a><b>", "b><c"}) parts.add(token, 3);
  const auto tokenizer = make_tokenizer(parts);
  EXPECT_EQ(pieces(*tokenizer, tokenizer->encode("<a><b><c")), (std::vector<std::string>{"<a><b>", "<", "c"}));
}

TEST(Tokenizer, ControlTokensOnlyWhereTrusted) {
  const auto tokenizer = make_tokenizer();
  const int32_t end = *tokenizer->find("<|im_end|>");
  const std::string token = "<|im_end|>";
  MarkedText text(token, true);
  EXPECT_EQ(tokenizer->encode_marked(text, false), (std::vector<int32_t>{end}));
  for (size_t i = 0; i < token.size(); ++i) {
    MarkedText one = text;
    one.trusted[i] = 0;
    const auto ids = tokenizer->encode_marked(one, false);
    EXPECT_EQ(std::count(ids.begin(), ids.end(), end), 0) << i;
    EXPECT_EQ(tokenizer->decode(ids), token);
  }
}

TEST(Tokenizer, BeginningAndEnd) {
  VocabularyParts parts = small_vocabulary();
  parts.keys.emplace_back("tokenizer.ggml.add_bos_token", MetadataValue{true});
  parts.keys.emplace_back("tokenizer.ggml.add_eos_token", MetadataValue{true});
  const auto tokenizer = make_tokenizer(parts);
  EXPECT_EQ(tokenizer->encode("a"), (std::vector<int32_t>{1, *tokenizer->find("a"), 2}));
  EXPECT_EQ(tokenizer->encode("a", {.add_special = false}).size(), 1u);
  EXPECT_TRUE(tokenizer->is_end(2));
  EXPECT_TRUE(tokenizer->is_end(0));  // <|endoftext|>
  EXPECT_FALSE(tokenizer->is_end(1));
  EXPECT_FALSE(tokenizer->is_end(-1));
}

TEST(Tokenizer, WholeWordsNeedNoMerges) {
  VocabularyParts parts = small_vocabulary();
  parts.add("xyz");
  EXPECT_EQ(make_tokenizer(parts)->encode("xyz").size(), 3u);
  parts.pre = "llama-bpe";
  const auto tokenizer = make_tokenizer(parts);
  EXPECT_EQ(tokenizer->encode("xyz", {.add_special = false}), (std::vector<int32_t>{*tokenizer->find("xyz")}));
}

TEST(Tokenizer, EveryByteStringComesBack) {
  std::mt19937_64 rng(7);
  for (const char* pre : {"smollm", "gpt-2", "llama-bpe", "qwen2", "default"}) {
    VocabularyParts parts = small_vocabulary();
    parts.pre = pre;
    const auto tokenizer = make_tokenizer(parts);
    for (int i = 0; i < 400; ++i) {
      const std::string text = random_bytes(rng, rng() % 200);
      EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, {.add_special = false}), true), text) << pre;
      EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, {.add_special = false, .parse_special = false})), text);
    }
  }
}

TEST(Tokenizer, InvalidBytesAreSingleTokens) {
  const auto tokenizer = make_tokenizer();
  EXPECT_EQ(tokenizer->encode("\xe2\x80").size(), 2u);
  EXPECT_EQ(tokenizer->encode("a\xff\xff").size(), 3u);
}

// Runs `body` on a thread with a stack of 256 KiB.
void on_small_stack(const std::function<void()>& body) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 256 * 1024), 0);
  pthread_t thread;
  const auto run = [](void* f) -> void* { return (*static_cast<const std::function<void()>*>(f))(), nullptr; };
  ASSERT_EQ(pthread_create(&thread, &attributes, run, const_cast<std::function<void()>*>(&body)), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double kSecondsPerMebibyte = 10.0;  // sanitizers slow everything down
#else
constexpr double kSecondsPerMebibyte = 1.0;
#endif

// Seconds to encode `bytes` of `unit` repeated.
double encode_seconds(const Tokenizer& tokenizer, const std::string& unit, size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += unit;
  std::vector<int32_t> ids;
  const auto start = std::chrono::steady_clock::now();
  on_small_stack([&] { ids = tokenizer.encode(text, {.add_special = false}); });
  const double time = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_EQ(tokenizer.decode(ids).size(), text.size());
  return time;
}

TEST(Tokenizer, LongRunsOfOneCharacterTakeLinearTime) {
  const std::vector<std::string> units{"a", "7", " ", "\n", "!", "日", "\xff", "\xc2\xa0"};
  for (const char* pre : {"smollm", "llama-bpe"}) {
    VocabularyParts parts = small_vocabulary();
    parts.pre = pre;
    const auto tokenizer = make_tokenizer(parts);
    for (const auto& unit : units) {
      double one = encode_seconds(*tokenizer, unit, 1 << 20), two = encode_seconds(*tokenizer, unit, 2 << 20);
      for (int retry = 0; retry < 3 && two > 2.5 * one + 0.02; ++retry) {  // the machine may be busy: the best counts
        one = std::max(one, encode_seconds(*tokenizer, unit, 1 << 20));
        two = std::min(two, encode_seconds(*tokenizer, unit, 2 << 20));
      }
      EXPECT_LT(one, kSecondsPerMebibyte) << pre << " '" << unit << "'";
      EXPECT_LT(two, 2.5 * one + 0.02) << pre << " '" << unit << "'";
    }
  }
}

// The message of the error that building the tokenizer ends in.
std::string refusal(const VocabularyParts& parts, std::string_view model = "gpt2") {
  try {
    Tokenizer::from_metadata(to_metadata(parts, model));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "no error";
}

// Pieces with their scores; the bytes' tokens come last.
VocabularyParts sentencepiece(bool with_bytes = true) {
  VocabularyParts parts;
  MetadataArray scores;
  const auto add = [&](const char* piece, int64_t type, double score) {
    parts.add(piece, type);
    scores.floats.push_back(score);
  };
  add("<unk>", 2, 0);
  add("<s>", 3, 0);
  add("</s>", 3, 0);
  for (const char* piece : {"ab", "bc", "\u2581a", "\u2581ab", "abab"}) add(piece, 1, -1.0 * parts.tokens.size());
  for (const char* piece : {"\u2581", "a", "b", "c"}) add(piece, 1, -100);
  for (int byte = 0; with_bytes && byte < 256; ++byte) add(piece_of_byte(static_cast<uint8_t>(byte)).c_str(), 6, 0);
  scores.size = scores.floats.size();
  parts.keys.emplace_back("tokenizer.ggml.scores", MetadataValue{std::move(scores)});
  parts.keys.emplace_back("tokenizer.ggml.bos_token_id", MetadataValue{int64_t{1}});
  parts.keys.emplace_back("tokenizer.ggml.unknown_token_id", MetadataValue{int64_t{0}});
  return parts;
}

TEST(SentencePiece, BestScoreFirstAndBytesForTheRest) {
  const auto tokenizer = Tokenizer::from_metadata(to_metadata(sentencepiece(), "llama"));
  using Pieces = std::vector<std::string>;
  EXPECT_EQ(pieces(*tokenizer, tokenizer->encode("ab")), (Pieces{"<s>", "\u2581ab"}));
  EXPECT_EQ(pieces(*tokenizer, tokenizer->encode("abc", {.add_special = false})), (Pieces{"\u2581ab", "c"}));
  EXPECT_EQ(pieces(*tokenizer, tokenizer->encode("x", {.add_special = false})), (Pieces{"\u2581", "<0x78>"}));
  EXPECT_EQ(pieces(*tokenizer, tokenizer->encode("\xff", {.add_special = false})), (Pieces{"\u2581", "<0xFF>"}));
  EXPECT_EQ(pieces(*tokenizer, tokenizer->encode("a</s>a")), (Pieces{"<s>", "\u2581a", "</s>", "\u2581a"}));
  std::mt19937_64 rng(5);
  for (int round = 0; round < 300; ++round) {
    const std::string text = random_bytes(rng, rng() % 200);
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, {.parse_special = false})), text);
  }
}

TEST(SentencePiece, UnknownWithoutBytes) {
  const auto tokenizer = Tokenizer::from_metadata(to_metadata(sentencepiece(false), "llama"));
  EXPECT_EQ(tokenizer->encode("x日", {.add_special = false}), (std::vector<int32_t>{8, 0, 0}));
}

TEST(SentencePiece, ScoresAreChecked) {
  VocabularyParts parts = sentencepiece();
  parts.add("more");
  EXPECT_NE(refusal(parts, "llama").find("269 tokens"), std::string::npos) << refusal(parts, "llama");
  EXPECT_NE(refusal(small_vocabulary(), "llama").find("scores"), std::string::npos);
}

TEST(Tokenizer, HostileMetadata) {
  const auto with = [](const std::function<void(VocabularyParts&)>& change) {
    VocabularyParts parts = small_vocabulary();
    change(parts);
    return refusal(parts);
  };
  const auto has = [](const std::string& message, std::string_view part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  };
  has(refusal(small_vocabulary(), "plamo2"), "plamo2");
  has(with([](auto& p) { p.pre = "mystery"; }), "mystery");
  has(with([](auto& p) { p.merges[3] = "nospace"; }), "merges[3]");
  has(with([](auto& p) { p.merges[0] = "a "; }), "merges[0]");
  has(with([](auto& p) { p.merges[0] = ""; }), "merges[0]");
  has(with([](auto& p) { p.merges[0] = "zz a"; }), "lacks");
  has(with([](auto& p) { p.merges[0] = "z q"; }), "lacks");
  has(with([](auto& p) { p.types.pop_back(); }), "token_type");
  has(with([](auto& p) { p.types[5] = 99; }), "99");
  has(with([](auto& p) { p.types[5] = -1; }), "-1");
  has(with([](auto& p) { p.types[5] = 6; }), "byte token");
  has(with([](auto& p) { p.add("<0x-1>", 6); }), "<0x-1>");
  has(with([](auto& p) { p.add("hello"); }), "both");
  has(with([](auto& p) { p.add(std::string(600, 'x'), 3); }), "600 bytes");
  has(with([](auto& p) { p.keys.emplace_back("tokenizer.ggml.eot_token_id", MetadataValue{int64_t{1} << 40}); }),
      "eot_token_id");
  has(with([](auto& p) { p.keys.emplace_back("tokenizer.ggml.bos_token_id", MetadataValue{int64_t{-5}}); }),
      "bos_token_id");
  has(refusal(VocabularyParts{}), "0 tokens");
}

}  // namespace
}  // namespace tern
