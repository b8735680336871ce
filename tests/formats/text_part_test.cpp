// The decoder of a folder whose model sees: its facts, its tensors under the names that folders of text have.
#include "formats/text_part.h"

#include <gtest/gtest.h>

#include <vector>

namespace tern {
namespace {

Checkpoint folder_of(const std::vector<std::string_view>& names) {
  Checkpoint out;
  out.kind = CheckpointKind::kHuggingFace;
  out.metadata = Metadata("[hf] test");
  for (const std::string_view name : names) out.tensors.push_back({.name = name, .shape = {2, 2}});
  out.index_tensors();
  out.metadata.set("text_config.hidden_size", {int64_t{32}});
  out.metadata.set("text_config.model_type", {std::string_view("inner")});
  out.metadata.set("model_type", {std::string_view("outer")});
  out.metadata.set("architectures", {std::string_view("Outer")});
  out.metadata.set("vision_config.hidden_size", {int64_t{16}});
  out.metadata.set("image_token_index", {int64_t{7}});
  return out;
}

std::vector<std::string> names_of(const Checkpoint& checkpoint) {
  std::vector<std::string> names;
  for (const TensorInfo& tensor : checkpoint.tensors) names.emplace_back(tensor.name);
  return names;
}

TEST(TextPart, FactsInsideGoBeforeThoseOutside) {
  const Checkpoint text = text_part(folder_of({"language_model.model.embed_tokens.weight"}));
  EXPECT_EQ(text.metadata.integer("hidden_size", 0, 100), 32);
  EXPECT_EQ(text.metadata.string("model_type"), "inner");
  EXPECT_EQ(text.metadata.string("architectures"), "Outer");
  EXPECT_FALSE(text.metadata.has("vision_config.hidden_size"));
  EXPECT_FALSE(text.metadata.has("image_token_index"));
}

TEST(TextPart, TensorsAreFoundUnderEachPrefix) {
  struct Case {
    std::string_view embedding, norm, head;
  };
  for (const Case& c :
       {Case{"language_model.model.embed_tokens.weight", "language_model.model.norm.weight",
             "language_model.lm_head.weight"},
        {"model.language_model.embed_tokens.weight", "model.language_model.norm.weight", "lm_head.weight"},
        {"model.language_model.model.embed_tokens.weight", "model.language_model.model.norm.weight",
         "model.language_model.lm_head.weight"},
        {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}}) {
    const Checkpoint text = text_part(folder_of({c.embedding, "vision_tower.norm.weight", c.norm, c.head}));
    EXPECT_EQ(names_of(text),
              (std::vector<std::string>{"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}))
        << c.embedding;
    EXPECT_TRUE(text.holds("lm_head.weight"));
    EXPECT_FALSE(text.holds("vision_tower.norm.weight"));
    EXPECT_NE(text.left_out.find("1 tensors"), std::string::npos) << text.left_out;
  }
}

TEST(TextPart, StoredTensorsAreRenamedToo) {
  Checkpoint whole = folder_of({"language_model.model.embed_tokens.weight"});
  whole.stored.push_back({.name = "language_model.model.layers.0.mlp.up_proj.qweight", .dtype = "I32"});
  whole.stored.push_back({.name = "vision_tower.fc1.qweight", .dtype = "I32"});
  const Checkpoint text = text_part(std::move(whole));
  ASSERT_EQ(text.stored.size(), 1u);
  EXPECT_EQ(text.stored[0].name, "model.layers.0.mlp.up_proj.qweight");
}

TEST(TextPart, AHeadDecidesWhereTyingIsSaidTwice) {
  for (const bool head : {false, true}) {
    Checkpoint whole = head ? folder_of({"language_model.model.embed_tokens.weight", "language_model.lm_head.weight"})
                            : folder_of({"language_model.model.embed_tokens.weight"});
    whole.metadata.set("text_config.tie_word_embeddings", {false});
    whole.metadata.set("tie_word_embeddings", {true});
    EXPECT_EQ(text_part(std::move(whole)).metadata.boolean("tie_word_embeddings"), !head);
  }
}

TEST(TextPart, WhatHasNoneOrTwoDecodersStays) {
  const std::vector<std::string_view> two{"a.embed_tokens.weight", "b.embed_tokens.weight"};
  EXPECT_EQ(text_part(folder_of(two)).tensors.size(), 2u);
  Checkpoint plain;
  plain.metadata = Metadata("[hf] test");
  plain.metadata.set("hidden_size", {int64_t{8}});
  plain.tensors.push_back({.name = "vision_tower.norm.weight"});
  plain.index_tensors();
  const Checkpoint same = text_part(std::move(plain));
  EXPECT_TRUE(same.holds("vision_tower.norm.weight"));
  EXPECT_EQ(same.left_out, "");
}

}  // namespace
}  // namespace tern
