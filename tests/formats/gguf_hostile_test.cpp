// GGUF files made to hurt: counts that lie, bits that flipped, ends that are missing. Each loads or is refused with one
// line that names the file, without a large allocation.
#include <gtest/gtest.h>

#include <chrono>

#include "formats/gguf.h"
#include "outcome.h"
#include "support/gguf_builder.h"

namespace tern::test {
namespace {

constexpr const char* kPath = "hostile.gguf";

using Bytes = std::vector<std::byte>;

// Keys that readers above this one look for.
constexpr const char* kKnownKeys[] = {"general.architecture",
                                      "general.alignment",
                                      "general.file_type",
                                      "llama.block_count",
                                      "llama.context_length",
                                      "llama.embedding_length",
                                      "llama.attention.head_count",
                                      "llama.attention.layer_norm_rms_epsilon",
                                      "llama.rope.freq_base",
                                      "tokenizer.ggml.model",
                                      "tokenizer.ggml.tokens",
                                      "tokenizer.ggml.scores",
                                      "tokenizer.ggml.token_type",
                                      "tokenizer.ggml.merges",
                                      "tokenizer.ggml.add_bos_token",
                                      "tokenizer.chat_template"};

// A small file with every kind of field; about 900 bytes of header and 4.5 KiB of data.
GgufBuilder sample() {
  static const std::vector<float> values(1024, 0.5f);
  static const Bytes blocks(5 * 20 + 34, std::byte{7});
  GgufBuilder builder;
  builder.string("general.architecture", "llama").alignment(32);
  for (uint32_t type = 0; type < kGgufTypes; ++type) {
    builder.any("any." + std::to_string(type), static_cast<GgufType>(type));
  }
  builder.strings("tokenizer.ggml.tokens", {"a", "b", "<eos>"});
  builder.numbers("tokenizer.ggml.scores", std::vector<float>{0, 1, 2});
  builder.numbers("bits", std::vector<bool>{true, false, true});
  builder.tensor_f32("token_embd.weight", {16, 64}, values);
  builder.tensor("blk.0.attn_q.weight", {5, 32}, 3, std::span(blocks).first(100));
  builder.tensor("blk.0.ffn_up.weight", {32}, 8, std::span(blocks).last(34));
  return builder;
}

Outcome outcome(const Bytes& file) {
  return try_read([&] { return read_gguf(file, kPath); }, kPath, file.size());
}

TEST(GgufHostile, TheSampleLoads) {
  const Outcome result = outcome(sample().build());
  EXPECT_TRUE(result.loaded) << result.message;
}

TEST(GgufHostile, EveryNumberTakesHostileValues) {
  GgufBuilder builder = sample();
  const Bytes file = builder.build();
  for (const GgufBuilder::Field& field : builder.fields()) {
    for (const uint64_t value : {uint64_t{1} << 31, (uint64_t{1} << 32) - 1, uint64_t{1} << 63, ~uint64_t{0}}) {
      Bytes broken = file;
      patch(broken, field, value);
      if (broken == file) continue;
      // 2^63 in a field of 32 bits is 0, which may be a valid type.
      const bool may_load = field.bytes == 4 && static_cast<uint32_t>(value) == 0;
      const Outcome result = outcome(broken);
      EXPECT_TRUE(!result.loaded || may_load) << field.name << " at " << field.offset << " = " << value;
    }
  }
}

TEST(GgufHostile, EveryNumberTakesNearbyValues) {
  GgufBuilder builder = sample();
  const Bytes file = builder.build();
  for (const GgufBuilder::Field& field : builder.fields()) {
    uint64_t original = 0;
    std::memcpy(&original, file.data() + field.offset, field.bytes);
    for (const uint64_t value : {uint64_t{0}, original - 1, original + 1, original * 2, original + file.size()}) {
      Bytes broken = file;
      patch(broken, field, value);
      outcome(broken);
    }
  }
}

TEST(GgufHostile, EveryKnownKeyTakesEveryType) {
  for (const char* key : kKnownKeys) {
    for (uint32_t type = 0; type < kGgufTypes; ++type) {
      GgufBuilder builder;
      builder.any(key, static_cast<GgufType>(type));
      const Bytes file = builder.build();
      const Outcome result = outcome(file);
      if (!result.loaded) {
        EXPECT_NE(result.message.find(key), std::string::npos) << result.message;
        continue;
      }
      // Each getter answers or refuses by name.
      const Checkpoint checkpoint = read_gguf(file, kPath);
      const Metadata& m = checkpoint.metadata;
      const std::function<void()> getters[] = {
          [&] { m.integer(key, 0, 100); }, [&] { m.number(key); },  [&] { m.string(key); },   [&] { m.boolean(key); },
          [&] { m.array(key); },           [&] { m.strings(key); }, [&] { m.integers(key); }, [&] { m.numbers(key); }};
      for (const auto& get : getters) {
        try_read([&] { return get(), Checkpoint{}; }, kPath, file.size());
      }
    }
  }
}

TEST(GgufHostile, EveryTruncation) {
  GgufBuilder builder = sample();
  const Bytes file = builder.build();
  for (size_t size = 0; size < file.size(); ++size) {
    // A copy of its own, so that a sanitizer sees a read beyond the end.
    const Bytes cut(file.begin(), file.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_FALSE(outcome(cut).loaded) << size;
  }
}

TEST(GgufHostile, LargeFileTruncatedAtEvery4KiB) {
  const std::vector<float> values(64 * 1024);
  const Bytes file = GgufBuilder().string("general.architecture", "llama").tensor_f32("t", {64, 1024}, values).build();
  for (size_t size = 0; size < file.size(); size += 4096) {
    EXPECT_FALSE(outcome({file.begin(), file.begin() + static_cast<ptrdiff_t>(size)}).loaded) << size;
  }
}

TEST(GgufHostile, EveryHeaderByteFlipped) {
  GgufBuilder builder = sample();
  Bytes file = builder.build();
  for (size_t at = 0; at < builder.header_bytes(); ++at) {
    const std::byte original = file[at];
    for (int bit = 0; bit < 8; ++bit) {
      file[at] = original ^ static_cast<std::byte>(1 << bit);
      outcome(file);
    }
    for (const std::byte value : {std::byte{0x00}, std::byte{0xff}}) {
      file[at] = value;
      outcome(file);
    }
    file[at] = original;
  }
}

// Arrays of arrays cost more memory than file; their number is bounded for the whole file.
TEST(GgufHostile, ArraysOfArraysStayBounded) {
  constexpr uint64_t kInner = 1'000'000;
  Bytes value;
  const auto put = [&](auto number) {
    const auto bytes = std::as_bytes(std::span(&number, 1));
    value.insert(value.end(), bytes.begin(), bytes.end());
  };
  put(uint32_t{9});
  put(kInner);
  for (uint64_t i = 0; i < kInner; ++i) {
    put(uint32_t{0});
    put(uint64_t{0});
  }
  const Bytes file = GgufBuilder().raw("wide", 9, value).build();
  const AllocationWatch watch;
  const Outcome result = outcome(file);
  EXPECT_NE(result.message.find("number of arrays 1000000 exceeds the limit of 65536"), std::string::npos)
      << result.message;
  EXPECT_LT(watch.total(), 65'536u);
}

}  // namespace
}  // namespace tern::test
