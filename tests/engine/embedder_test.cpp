// Vectors of texts against transformers, from GGUF and from safetensors; the same bits in any company.
#include "engine/embedder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "formats/checkpoint.h"
#include "model/archs/arch.h"
#include "model/passes/passes.h"
#include "support/paths.h"

namespace tern {
namespace {

using Texts = std::vector<std::vector<int32_t>>;

std::filesystem::path folder() { return std::filesystem::path(test::golden_dir()) / "encoders" / "bert-tiny"; }

Texts texts() { return nlohmann::json::parse(std::ifstream(folder() / "texts.json")).get<Texts>(); }

std::vector<float> expected() {
  std::ifstream raw(folder() / "vectors.f32", std::ios::binary);
  std::vector<char> bytes((std::istreambuf_iterator<char>(raw)), std::istreambuf_iterator<char>());
  std::vector<float> out(bytes.size() / sizeof(float));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

Embedder load(const std::string& file, int threads, int64_t max_batched_tokens, const std::string& kernels,
              Pooling pooling = Pooling::kMean) {
  const auto checkpoint = open_checkpoint((folder() / file).string());
  const ModelConfig config = model_config(*checkpoint);
  EXPECT_EQ(config.pooling, Pooling::kMean);
  RunnerOptions options;
  options.threads = threads;
  options.max_batched_tokens = options.max_rows = max_batched_tokens;
  options.max_model_len = config.context;
  options.kv_tokens = 2 * max_batched_tokens;
  options.kv_format = Format::kF32;
  options.kernels = KernelSelection::parse(kernels);
  const Program lowered = lower(arch_of(*checkpoint).program(config));
  return Embedder(make_cpu_runner(checkpoint, config, lowered, options), pooling, options);
}

TEST(Embedder, VectorsMatchTransformers) {
  const std::vector<float> want = expected();
  for (const char* file : {"model.gguf", "hf"}) {
    for (const char* kernels : {"", "ref"}) {
      const auto vectors = load(file, 2, 320, kernels).embed(texts());
      size_t at = 0;
      for (const std::vector<float>& vector : vectors) {
        for (const float value : vector) ASSERT_NEAR(value, want[at++], 2e-6) << file << " " << kernels;
      }
      EXPECT_EQ(at, want.size());
    }
  }
}

TEST(Embedder, SameBitsAloneAndTogether) {
  const Texts all = texts();
  Embedder alone = load("model.gguf", 1, 320, ""), together = load("model.gguf", 2, 1000, "");
  const auto vectors = together.embed(all);
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(alone.embed({&all[i], 1})[0], vectors[i]) << i;
  }
}

// The vector of the first token alone: causal attention would not let the last one into it.
TEST(Embedder, TheFirstTokenSeesTheLast) {
  Texts pair{texts()[2], texts()[2]};
  pair[1].back() = (pair[1].back() + 1) % 300;
  const auto vectors = load("model.gguf", 1, 320, "", Pooling::kFirst).embed(pair);
  EXPECT_NE(vectors[0], vectors[1]);
}

TEST(Embedder, RefusesWhatDoesNotFit) {
  Embedder embedder = load("model.gguf", 1, 100, "");
  EXPECT_EQ(embedder.max_tokens(), 100);
  EXPECT_THROW(embedder.embed(Texts{{}}), Error);
  EXPECT_THROW(embedder.embed(Texts{std::vector<int32_t>(101, 5)}), Error);
  EXPECT_EQ(embedder.embed(Texts{}).size(), 0u);
}

}  // namespace
}  // namespace tern
