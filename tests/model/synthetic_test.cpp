// Synthetic models: their names, which type each tensor gets, the vocabulary, and that the bytes depend on the seed and
// on nothing else.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "core/error.h"
#include "model/archs/arch.h"
#include "model/open_model.h"
#include "model/rope_table.h"
#include "model/synthetic/differing_facts.h"
#include "model/synthetic/known_shapes.h"
#include "model/synthetic/synthetic_model.h"
#include "model/synthetic/vocabulary.h"
#include "model/weights.h"
#include "support/paths.h"

namespace tern {
namespace {

const std::string kModels = test::golden_dir() + "/models/";

std::string temporary_path() {
  return (std::filesystem::temp_directory_path() / ("tern-synth-" + std::to_string(::getpid()))).string();
}

std::string refusal(const std::string& model) {
  try {
    open_model(model, Weights::kUnread);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "";
}

TEST(SyntheticName, PartsAreTakenOffTheEnd) {
  const auto parse = [](const char* text) { return to_string(parse_synthetic(text)); };
  EXPECT_EQ(parse("synth:llama-3.2-1b"), "synth:llama-3.2-1b:q4_k_m:0");
  EXPECT_EQ(parse("synth:llama-3.2-1b:q8_0"), "synth:llama-3.2-1b:q8_0:0");
  EXPECT_EQ(parse("synth:llama-3.2-1b:q8_0:17"), "synth:llama-3.2-1b:q8_0:17");
  EXPECT_EQ(parse("smollm2-135m"), "synth:smollm2-135m:q4_k_m:0");
  // A number without a type before it, and what is no type, belong to the path.
  EXPECT_EQ(parse("synth:dir:7"), "synth:dir:7:q4_k_m:0");
  EXPECT_EQ(parse("synth:a:b/config.json:f16"), "synth:a:b/config.json:f16:0");
  EXPECT_FALSE(is_synthetic("smollm2"));
}

TEST(SyntheticName, RefusalsSayWhatIsKnown) {
  EXPECT_NE(refusal("synth:").find("names no CONFIG"), std::string::npos);
  const std::string unknown = refusal("synth:no-such-model:q4_0");
  EXPECT_NE(unknown.find("llama-3.2-1b"), std::string::npos) << unknown;
  EXPECT_NE(unknown.find("q4_k_m"), std::string::npos) << unknown;
  const SyntheticSpec spec{.config = "smollm2-135m", .type = "q9", .seed = 0};
  EXPECT_THROW(SyntheticModel{spec}, Error);
}

// The name says how many, in billions or millions, within the looseness of such names: the last part like "7b", of
// which mixtures have another in front or behind ("1b-7b", "30b-a3b").
double parameters_in(const std::string& name) {
  std::istringstream parts(name);
  double said = 0;
  for (std::string part; std::getline(parts, part, '-');) {
    if (part[0] < '0' || part[0] > '9' || (part.back() != 'b' && part.back() != 'm')) continue;
    said = std::stod(part) * (part.back() == 'b' ? 1e9 : 1e6);
  }
  return said;
}

TEST(SyntheticShape, EveryKnownOneOpensWithoutItsWeights) {
  std::string names = known_shape_names();
  for (size_t at = 0; at < names.size();) {
    const size_t end = std::min(names.find(", ", at), names.size());
    const std::string name = names.substr(at, end - at);
    const auto checkpoint = open_model("synth:" + name, Weights::kUnread);
    const ModelConfig config = model_config(*checkpoint);
    WeightMap(*checkpoint).check(arch_of(*checkpoint).program(config));
    uint64_t parameters = 0;
    for (const TensorInfo& tensor : checkpoint->tensors) parameters += static_cast<uint64_t>(tensor.elements());
    const double said = parameters_in(name);
    EXPECT_NEAR(static_cast<double>(parameters) / said, 1.0, 0.26) << name << " " << parameters;
    at = end + 2;
  }
}

TEST(SyntheticShape, FactsSurviveTheWay) {
  for (const char* from : {"llama-tiny", "llama3-tiny", "llama-linear-tiny", "llama-yarn-tiny", "mistral-tiny",
                           "qwen2-tiny", "qwen3-tiny", "qwen3moe-tiny", "olmoe-tiny"}) {
    for (const char* form : {"/hf", "/hf/config.json", "/model.gguf"}) {
      const std::string path = kModels + from + form;
      const ModelConfig source = synthetic_facts(path).config;
      const auto checkpoint = open_model("synth:" + path + ":f32", Weights::kReady, 1);
      const ModelConfig config = model_config(*checkpoint);
      EXPECT_EQ(config.layers, source.layers) << path;
      EXPECT_EQ(config.hidden, source.hidden) << path;
      EXPECT_EQ(config.ffn, source.ffn) << path;
      EXPECT_EQ(config.heads, source.heads) << path;
      EXPECT_EQ(config.kv_heads, source.kv_heads) << path;
      EXPECT_EQ(config.head_dim, source.head_dim) << path;
      EXPECT_EQ(config.vocabulary, source.vocabulary) << path;
      EXPECT_EQ(config.context, source.context) << path;
      EXPECT_EQ(config.window, source.window) << path;
      EXPECT_EQ(config.norm_eps, source.norm_eps) << path;
      EXPECT_EQ(config.tied_embeddings, source.tied_embeddings) << path;
      EXPECT_EQ(config.route.experts, source.route.experts) << path;
      EXPECT_EQ(config.route.used, source.route.used) << path;
      EXPECT_EQ(config.route.normalized, source.route.normalized) << path;
      EXPECT_EQ(config.expert_ffn, source.expert_ffn) << path;
      // The frequencies are those of the original whatever its way of saying them.
      std::vector<float> given = synthetic_facts(path).rope_factors, made;
      if (config.rope.scaling == RopeScaling::kFactors) made = decode_tensor(checkpoint->tensor("rope_freqs.weight"));
      const auto wanted = rope_frequencies(source.rope, given), got = rope_frequencies(config.rope, made);
      ASSERT_EQ(wanted.size(), got.size()) << path;
      for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i] / wanted[i], 1.0f, 1e-5f) << path << " " << i;
      EXPECT_NEAR(config.rope.attention_factor, source.rope.attention_factor, 1e-6) << path;
    }
  }
}

Format type_of(const char* type, const char* shape, Role role, int32_t layer) {
  const ModelConfig config = synthetic_facts(shape).config;
  const int64_t cols = role == Role::kFfnDown ? config.ffn : config.hidden;
  return tensor_format(*find_type_mix(type), config, role, layer, cols);
}

// As llama-quantize prints for the same shapes.
// Every architecture is written so that it is read back as it was, or is refused in one line that names what differs.
TEST(SyntheticShape, FactsThatCannotBeWrittenAreRefused) {
  const std::pair<const char*, const char*> cases[] = {
      {"granite-tiny", "logit scale 1.25"},
      {"command-r-tiny", "logit_scale"},
      {"deepseek3-tiny", "kv_lora_rank"},
      {"lfm2-tiny", "shortconv"},
      {"llama4-tiny", "step of layers with experts 2"},
      {"gemma3-image-tiny", "scale of scores 0.0625"},
  };
  for (const auto& [name, words] : cases) {
    const std::string message = refusal("synth:" + kModels + name + "/hf:f32");
    EXPECT_NE(message.find("cannot be written yet"), std::string::npos) << name << ": " << message;
    EXPECT_NE(message.find(words), std::string::npos) << name << ": " << message;
  }
}

TEST(SyntheticShape, CapsWindowsAndSharedTensorsSurviveTheWay) {
  for (const char* name : {"gemma2-tiny", "gemma3-tiny", "gpt2-tiny", "phi3-tiny", "gptoss-tiny", "starcoder2-tiny",
                           "mistral-window-tiny", "olmoe-tiny", "mistral3-image-tiny"}) {
    const auto wanted = model_config(*open_checkpoint(kModels + name + "/hf"));
    const auto made = open_model("synth:" + kModels + name + "/hf:f32", Weights::kUnread);
    const ModelConfig read = model_config(*made);
    EXPECT_EQ(differing_facts(wanted, read), std::vector<std::string>()) << name;
    EXPECT_FLOAT_EQ(read.attention_soft_cap, wanted.attention_soft_cap) << name;
    EXPECT_FLOAT_EQ(read.logit_soft_cap, wanted.logit_soft_cap) << name;
    WeightMap(*made).check(arch_of(*made).program(read));
  }
}

TEST(SyntheticFacts, ThatDifferAreNamed) {
  const ModelConfig plain = model_config(*open_checkpoint(kModels + "gemma2-tiny/hf"));
  ModelConfig other = plain;
  other.logit_soft_cap = 0;
  other.layer_attention[1].window = 7;
  other.heads = 1;
  EXPECT_EQ(differing_facts(plain, plain), std::vector<std::string>());
  const std::vector<std::string> lines = differing_facts(plain, other);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0], "heads 2 (read back: 1)");
  EXPECT_EQ(lines[1], "soft cap of logits 8 (read back: 0)");
  EXPECT_EQ(lines[2], "windows and rotations of layers, from layer 1 on");
}

TEST(SyntheticType, SensitiveTensorsGetMoreBits) {
  EXPECT_EQ(type_of("q4_k_m", "llama-3.2-1b", Role::kAttentionQ, 0), Format::kQ4_K);
  EXPECT_EQ(type_of("q4_k_m", "llama-3.2-1b", Role::kAttentionV, 0), Format::kQ6_K);
  EXPECT_EQ(type_of("q4_k_m", "llama-3.2-1b", Role::kAttentionV, 2), Format::kQ4_K);
  EXPECT_EQ(type_of("q4_k_m", "llama-3.2-1b", Role::kFfnDown, 4), Format::kQ6_K);
  EXPECT_EQ(type_of("q4_k_m", "llama-3.2-1b", Role::kFfnDown, 5), Format::kQ4_K);
  EXPECT_EQ(type_of("q4_k_m", "llama-3.2-1b", Role::kTokenEmbedding, -1), Format::kQ6_K);  // tied
  EXPECT_EQ(type_of("q4_k_m", "llama-3.1-8b", Role::kTokenEmbedding, -1), Format::kQ4_K);
  EXPECT_EQ(type_of("q4_k_m", "llama-3.1-8b", Role::kOutput, -1), Format::kQ6_K);
  EXPECT_EQ(type_of("q4_k_m", "llama-3.1-70b", Role::kAttentionV, 12), Format::kQ6_K);
  EXPECT_EQ(type_of("q4_k_m", "llama-3.1-70b", Role::kAttentionV, 11), Format::kQ5_K);
  EXPECT_EQ(type_of("q5_k_m", "llama-3.2-1b", Role::kFfnDown, 15), Format::kQ6_K);
  EXPECT_EQ(type_of("q3_k_m", "llama-3.2-1b", Role::kAttentionV, 1), Format::kQ5_K);
  EXPECT_EQ(type_of("q3_k_m", "llama-3.2-1b", Role::kAttentionV, 2), Format::kQ4_K);
  EXPECT_EQ(type_of("q3_k_m", "llama-3.2-1b", Role::kFfnDown, 0), Format::kQ5_K);
  EXPECT_EQ(type_of("q3_k_m", "llama-3.2-1b", Role::kFfnGate, 0), Format::kQ3_K);
  EXPECT_EQ(type_of("q2_k", "llama-3.2-1b", Role::kAttentionV, 5), Format::kQ4_K);
  EXPECT_EQ(type_of("q2_k", "llama-3.2-1b", Role::kAttentionOut, 5), Format::kQ3_K);
  EXPECT_EQ(type_of("q4_0", "llama-3.1-8b", Role::kOutput, -1), Format::kQ6_K);
  EXPECT_EQ(type_of("q8_0", "llama-3.1-8b", Role::kOutput, -1), Format::kQ8_0);
  EXPECT_EQ(type_of("bf16", "llama-3.1-8b", Role::kOutput, -1), Format::kBF16);
  EXPECT_EQ(type_of("q4_k_m", "qwen3-30b-a3b", Role::kRouter, 0), Format::kF32);
  EXPECT_EQ(type_of("q4_k_m", "qwen3-30b-a3b", Role::kExpertGate, 0), Format::kQ4_K);
  EXPECT_EQ(type_of("q4_k_m", "qwen3-30b-a3b", Role::kExpertDown, 0), Format::kQ6_K);
}

TEST(SyntheticType, RowsThatAreNotWholeBlocksFallBack) {
  // 576 and 896 are multiples of 32 and 64 alone.
  EXPECT_EQ(type_of("q4_k_m", "smollm2-135m", Role::kAttentionQ, 3), Format::kQ5_0);
  EXPECT_EQ(type_of("q4_k_m", "smollm2-135m", Role::kAttentionV, 0), Format::kQ8_0);
  EXPECT_EQ(type_of("q4_k_m", "smollm2-135m", Role::kFfnDown, 3), Format::kQ4_K);
  EXPECT_EQ(type_of("q4_k_m", "smollm2-135m", Role::kTokenEmbedding, -1), Format::kQ8_0);
  EXPECT_EQ(type_of("q5_k_m", "qwen2.5-0.5b", Role::kFfnUp, 3), Format::kQ5_1);
  EXPECT_EQ(type_of("q3_k_m", "qwen2.5-0.5b", Role::kFfnUp, 3), Format::kQ4_0);
  EXPECT_EQ(type_of("q6_k", "qwen2.5-0.5b", Role::kFfnUp, 3), Format::kQ8_0);
  const ModelConfig config = synthetic_facts("smollm2-135m").config;
  EXPECT_EQ(tensor_format(*find_type_mix("q4_0"), config, Role::kFfnUp, 0, 40), Format::kF16);
}

TEST(SyntheticVocabulary, IsAsLargeAsWantedAndHasNoTwins) {
  for (const int64_t size : {1, 2, 3, 4, 100, 258, 259, 300, 49152, 151936}) {
    const SyntheticVocabulary vocabulary = synthetic_vocabulary(size);
    ASSERT_EQ(vocabulary.tokens.size(), static_cast<size_t>(size));
    ASSERT_EQ(vocabulary.types.size(), static_cast<size_t>(size));
    const std::set<std::string> all(vocabulary.tokens.begin(), vocabulary.tokens.end());
    EXPECT_EQ(all.size(), vocabulary.tokens.size()) << size;
    for (const std::string& merge : vocabulary.merges) {
      const size_t space = merge.find(' ');
      EXPECT_TRUE(all.contains(merge.substr(0, space)) && all.contains(merge.substr(space + 1))) << merge;
      EXPECT_TRUE(all.contains(merge.substr(0, space) + merge.substr(space + 1))) << merge;
    }
    EXPECT_EQ(vocabulary.types[static_cast<size_t>(vocabulary.eos)], 3) << size;
  }
}

std::vector<std::byte> bytes_of(const std::string& model, int threads) {
  const auto checkpoint = open_model(model, Weights::kReady, threads);
  const auto bytes = checkpoint->files[0]->bytes();
  return {bytes.begin(), bytes.end()};
}

TEST(SyntheticWeights, DependOnTheSeedAndNotOnThreads) {
  const std::string model = "synth:" + kModels + "llama-tiny/hf:q8_0:";
  const auto bytes = bytes_of(model + "3", 1);
  EXPECT_TRUE(bytes == bytes_of(model + "3", 2));
  EXPECT_TRUE(bytes == bytes_of(model + "3", 5));
  EXPECT_FALSE(bytes == bytes_of(model + "4", 2));
}

TEST(SyntheticWeights, MoreThanTheMachineHasIsRefusedBeforeItIsMade) {
  const std::string path = temporary_path();
  std::ofstream(path) << R"({"architectures":["LlamaForCausalLM"],"hidden_size":65536,"intermediate_size":1048576,
      "num_hidden_layers":400,"num_attention_heads":512,"vocab_size":300,"max_position_embeddings":4096,
      "rms_norm_eps":1e-5})";
  EXPECT_EQ(model_config(*open_model("synth:" + path, Weights::kUnread)).layers, 400);
  try {
    open_model("synth:" + path, Weights::kReady);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kResource);
  }
  std::filesystem::remove(path);
}

TEST(SyntheticWeights, TheFileHasTheSameBytes) {
  const std::string path = temporary_path();
  // A matrix of several pieces (of 16 MiB) among them.
  for (const char* model : {"synth:smollm2-135m:q8_0:1", "synth:smollm2-135m:q3_k_m"}) {
    const auto memory = bytes_of(model, 2);
    SyntheticModel(parse_synthetic(model)).write(path, 2);
    const MappedFile file(path);
    ASSERT_EQ(file.bytes().size(), memory.size());
    EXPECT_EQ(std::memcmp(file.bytes().data(), memory.data(), memory.size()), 0) << model;
  }
  std::filesystem::remove(path);
}

TEST(SyntheticWeights, AreFiniteAndOfTheSizeThatKeepsActivations) {
  for (const char* type : {"bf16", "q4_k_m", "q2_k", "q8_0"}) {
    const auto checkpoint = open_model(std::string("synth:smollm2-135m:") + type, Weights::kReady);
    const auto rms = [&](const char* name) {
      double squares = 0;
      const std::vector<float> values = decode_tensor(checkpoint->tensor(name));
      for (const float value : values) squares += static_cast<double>(value) * static_cast<double>(value);
      EXPECT_TRUE(std::isfinite(squares)) << type << " " << name;
      return std::sqrt(squares / static_cast<double>(values.size()));
    };
    EXPECT_NEAR(rms("blk.7.attn_norm.weight"), 1.0, 0.02) << type;
    EXPECT_NEAR(rms("blk.7.ffn_up.weight") * std::sqrt(576.0), 1.0, 0.05) << type;
    EXPECT_NEAR(rms("blk.7.ffn_down.weight") * std::sqrt(1536.0 * 60), 1.0, 0.05) << type;
    EXPECT_NEAR(rms("token_embd.weight") * std::sqrt(576.0), 3.0, 0.15) << type;
  }
}

}  // namespace
}  // namespace tern
