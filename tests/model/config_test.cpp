// Facts from metadata: what is refused, and with what words.
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "model/archs/arch.h"
#include "model/rope_table.h"
#include "model/weights.h"

namespace tern {
namespace {

MetadataValue integer(int64_t value) { return {value}; }
MetadataValue number(double value) { return {value}; }
MetadataValue text(std::string_view value) { return {value}; }

// A GGUF-like checkpoint of metadata alone, with an embedding of 10 rows.
Checkpoint checkpoint_with(const std::vector<std::pair<std::string, MetadataValue>>& changes) {
  Checkpoint checkpoint;
  checkpoint.metadata = Metadata("[gguf] test.gguf");
  std::vector<std::pair<std::string, MetadataValue>> values{
      {"general.architecture", text("llama")},    {"llama.block_count", integer(2)},
      {"llama.embedding_length", integer(64)},    {"llama.feed_forward_length", integer(96)},
      {"llama.attention.head_count", integer(4)}, {"llama.attention.head_count_kv", integer(2)},
      {"llama.context_length", integer(512)},     {"llama.attention.layer_norm_rms_epsilon", number(1e-5)},
  };
  for (const auto& [key, value] : changes) {
    const auto at =
        std::find_if(values.begin(), values.end(), [&, k = key](const auto& row) { return row.first == k; });
    if (at == values.end()) {
      values.emplace_back(key, value);
    } else {
      at->second = value;
    }
  }
  for (auto& [key, value] : values) checkpoint.metadata.set(key, value);
  static const std::vector<std::byte> zeros(10 * 64 * 4);
  TensorInfo embedding;
  embedding.name = "token_embd.weight";
  embedding.format = Format::kF32;
  embedding.shape = {10, 64};
  embedding.data = zeros;
  checkpoint.tensors.push_back(embedding);
  checkpoint.index_tensors();
  return checkpoint;
}

std::string refusal(const std::vector<std::pair<std::string, MetadataValue>>& changes) {
  try {
    model_config(checkpoint_with(changes));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "";
}

TEST(ModelConfig, ReadsAPlainLlama) {
  const ModelConfig c = model_config(checkpoint_with({}));
  EXPECT_EQ(c.architecture, "llama");
  EXPECT_EQ(c.head_dim, 16);
  EXPECT_EQ(c.vocabulary, 10);
  EXPECT_TRUE(c.tied_embeddings);
  EXPECT_EQ(c.rope.style, RopeStyle::kInterleaved);
}

// What the text_config of Gemma 3 4B says, and what its class adds.
TEST(ModelConfig, FactsThatAreNotSaidAreThoseOfTheClass) {
  Checkpoint checkpoint = checkpoint_with({});
  checkpoint.kind = CheckpointKind::kHuggingFace;
  checkpoint.tensors[0].name = "model.embed_tokens.weight";
  checkpoint.index_tensors();
  checkpoint.metadata = Metadata("[hf] test");
  MetadataArray name;
  name.strings = {"Gemma3ForConditionalGeneration"};
  name.size = 1;
  checkpoint.metadata.set("architectures", {name});
  checkpoint.metadata.set("hidden_size", integer(2560));
  checkpoint.metadata.set("intermediate_size", integer(10240));
  checkpoint.metadata.set("num_hidden_layers", integer(34));
  checkpoint.metadata.set("rope_scaling.factor", number(8));
  checkpoint.metadata.set("rope_scaling.rope_type", text("linear"));
  checkpoint.metadata.set("sliding_window", integer(1024));
  const ModelConfig c = model_config(checkpoint);
  EXPECT_EQ(c.heads, 8);
  EXPECT_EQ(c.kv_heads, 4);
  EXPECT_EQ(c.head_dim, 256);
  EXPECT_EQ(c.layers, 34);
  EXPECT_EQ(c.hidden, 2560);
  EXPECT_EQ(c.context, 131072);
  EXPECT_EQ(c.rope.theta, 1e6);
  EXPECT_EQ(c.rope.factor, 8);
  EXPECT_EQ(c.local_rope.theta, 1e4);
  EXPECT_FLOAT_EQ(c.attention_scale, 1.0f / 16);
  EXPECT_EQ(c.attention_of(4).window, 1024);
  EXPECT_EQ(c.attention_of(5).window, 0);
  EXPECT_TRUE(c.tied_embeddings);
  checkpoint.metadata.set("num_key_value_heads", integer(2));
  checkpoint.metadata.set("rope_parameters.full_attention.rope_theta", number(5e5));
  EXPECT_EQ(model_config(checkpoint).kv_heads, 2);
  EXPECT_EQ(model_config(checkpoint).rope.theta, 5e5);
}

TEST(ModelConfig, RefusalsNameFileFieldAndReason) {
  struct Case {
    const char* key;
    MetadataValue value;
    const char* words;
  };
  const Case cases[] = {
      {"general.architecture", text("no-such"), "architecture \"no-such\" is not supported"},
      {"llama.block_count", integer(0), "llama.block_count"},
      {"llama.block_count", integer(1 << 30), "llama.block_count"},
      {"llama.block_count", text("two"), "llama.block_count"},
      {"llama.attention.head_count", integer(0), "llama.attention.head_count"},
      {"llama.attention.head_count_kv", integer(3), "4 heads are not a multiple of 3 KV heads"},
      {"llama.attention.key_length", integer(5000), "head size 5000"},
      {"llama.rope.dimension_count", integer(18), "rope dimension 18"},
      {"llama.rope.scaling.type", text("spiral"), "\"spiral\" is not supported"},
      {"llama.rope.scaling.factor", number(-1), "rope scaling factor"},
      {"llama.rope.freq_base", number(0), "rope base"},
      {"llama.expert_count", integer(8), "llama.expert_used_count"},
  };
  for (const Case& c : cases) {
    const std::string message = refusal({{c.key, c.value}});
    EXPECT_NE(message.find("test.gguf"), std::string::npos) << c.key << ": " << message;
    EXPECT_NE(message.find(c.words), std::string::npos) << c.key << ": " << message;
  }
}

TEST(ModelConfig, VocabularyMustAgreeWithTheEmbedding) {
  MetadataArray tokens;
  tokens.strings.assign(9, "a");
  tokens.size = 9;
  const std::string message = refusal({{"tokenizer.ggml.tokens", {tokens}}});
  EXPECT_NE(message.find("9 entries"), std::string::npos) << message;
  EXPECT_NE(message.find("10 rows"), std::string::npos) << message;
}

TEST(WeightMap, MissingAndMisshapenTensorsAreNamed) {
  const Checkpoint checkpoint = checkpoint_with({});
  const WeightMap weights(checkpoint);
  EXPECT_THROW(weights.tensor({Role::kOutputNorm, -1, 1, 64}), Error);
  try {
    weights.tensor({Role::kTokenEmbedding, -1, 11, 64});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("token_embd.weight is 10 x 64"), std::string::npos) << error.what();
  }
}

// A matrix of one row is no vector: elements alone would let [hidden, 1] pass for [1, hidden].
TEST(WeightMap, RowsAndColumnsMustBothAgree) {
  Checkpoint checkpoint = checkpoint_with({});
  static const std::vector<std::byte> zeros(64 * 4);
  TensorInfo gate;
  gate.name = "blk.0.ffn_gate.weight";
  gate.shape = {64, 1};
  gate.data = zeros;
  checkpoint.tensors.push_back(gate);
  checkpoint.index_tensors();
  EXPECT_THROW(WeightMap(checkpoint).tensor({Role::kFfnGate, 0, 1, 64}), Error);
}

TEST(RopeTable, InfiniteFrequenciesAreRefused) {
  RopeConfig rope;
  rope.dims = 8;
  rope.scaling = RopeScaling::kFactors;
  const float factors[] = {1, 0, 1, 1};
  EXPECT_THROW(rope_frequencies(rope, factors), Error);
}

TEST(RopeTable, PlainFrequenciesFollowTheFormula) {
  RopeConfig rope;
  rope.dims = 8;
  rope.theta = 100.0;
  const RopeTable table = rope_table(rope, {}, 5);
  for (int position = 0; position < 5; ++position) {
    for (int pair = 0; pair < 4; ++pair) {
      const double angle = position * std::pow(100.0, -2.0 * pair / 8.0);
      EXPECT_NEAR(table.cos[static_cast<size_t>(position * 4 + pair)], std::cos(angle), 1e-6);
      EXPECT_NEAR(table.sin[static_cast<size_t>(position * 4 + pair)], std::sin(angle), 1e-6);
    }
  }
}

TEST(RopeTable, GrowsInPlaceToTheSameNumbers) {
  RopeConfig rope;
  rope.dims = 16;
  rope.attention_factor = 1.25;
  const RopeTable whole = rope_table(rope, {}, 100);
  GrowingRopeTable growing(rope, {}, 100);
  EXPECT_TRUE(growing.table().cos.empty());
  const float* const place = growing.table().cos.data();
  for (const int64_t positions : {1, 7, 3, 64, 100}) {
    growing.cover(positions);
    const size_t floats = growing.table().cos.size();
    EXPECT_GE(floats, static_cast<size_t>(positions * 8));
    EXPECT_TRUE(std::equal(growing.table().cos.begin(), growing.table().cos.end(), whole.cos.begin()));
    EXPECT_TRUE(std::equal(growing.table().sin.begin(), growing.table().sin.end(), whole.sin.begin()));
  }
  EXPECT_EQ(growing.table().cos.size(), whole.cos.size());
  EXPECT_EQ(growing.table().cos.data(), place);
  EXPECT_GE(growing.most_floats(), 2 * whole.cos.size());
}

TEST(RopeTable, FactorsOfTheWrongLengthAreRefused) {
  RopeConfig rope;
  rope.dims = 8;
  rope.scaling = RopeScaling::kFactors;
  const float factors[] = {1, 2, 3};
  EXPECT_THROW(rope_frequencies(rope, factors), Error);
}

}  // namespace
}  // namespace tern
