// open_checkpoint: what it takes for what, and the checked-in models in both of their forms.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "formats/checkpoint.h"
#include "safetensors_file.h"
#include "support/gguf_builder.h"
#include "support/paths.h"

namespace tern::test {
namespace {

namespace fs = std::filesystem;

class Open : public testing::Test {
 protected:
  Open() : folder_(fs::temp_directory_path() / ("tern-open-" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~Open() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, std::span<const std::byte> bytes) const {
    const fs::path path = folder_ / name;
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return path.string();
  }
  std::string write(const std::string& name, std::string_view text) const {
    return write(name, std::as_bytes(std::span(text)));
  }
  std::string folder() const { return folder_.string(); }

  static std::string refusal(const std::string& path) {
    try {
      open_checkpoint(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
      return error.what();
    }
    return "";
  }
  static void expect_refused(const std::string& path, const std::string& part) {
    const std::string message = refusal(path);
    EXPECT_NE(message.find(part), std::string::npos) << "got: " << message << "\nwanted: " << part;
  }

 private:
  fs::path folder_;
};

const std::vector<std::byte> kWeights =
    safetensors_file(R"({"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})", 16);

TEST_F(Open, GgufWhateverItsName) {
  const std::vector<float> values{1, 2};
  const std::string path = write("weights.bin", GgufBuilder().string("k", "v").tensor_f32("t", {2}, values).build());
  const auto checkpoint = open_checkpoint(path);
  EXPECT_EQ(checkpoint->path, path);
  EXPECT_EQ(checkpoint->metadata.string("k"), "v");
  EXPECT_EQ(std::memcmp(checkpoint->tensor("t").data.data(), values.data(), 8), 0);
  checkpoint->release_pages(checkpoint->tensor("t"));
  EXPECT_EQ(std::memcmp(checkpoint->tensor("t").data.data(), values.data(), 8), 0) << "pages come back when read";
}

TEST_F(Open, FolderOrFileOfSafetensors) {
  const std::string weights = write("model.safetensors", kWeights);
  write("config.json", R"({"hidden_size": 2})");
  for (const std::string& path : {folder(), folder() + "/", weights}) {
    const auto checkpoint = open_checkpoint(path);
    EXPECT_EQ(checkpoint->kind, CheckpointKind::kHuggingFace);
    EXPECT_EQ(checkpoint->path, path);
    EXPECT_EQ(checkpoint->metadata.integer("hidden_size", 0, 9), 2);
    EXPECT_EQ(checkpoint->tensor("w").rows(), 2);
    EXPECT_FALSE(checkpoint->metadata.has("generation_config.eos_token_id"));
  }
  write("generation_config.json", R"({"eos_token_id": 5})");
  EXPECT_EQ(open_checkpoint(folder())->metadata.integer("generation_config.eos_token_id", 0, 9), 5);
  write("generation_config.json", R"({"eos_token_id": )");
  expect_refused(folder(), "generation_config.json: not valid JSON");
}

TEST_F(Open, NamesWhatIsMissing) {
  expect_refused(folder(), "model.safetensors is missing");
  const std::string weights = write("model.safetensors", kWeights);
  expect_refused(folder(), "config.json is missing");
  expect_refused(weights, "config.json is missing");
  expect_refused(folder() + "/absent.gguf", "cannot be opened: No such file or directory");
  expect_refused("", "cannot be opened");
  expect_refused("/dev/null", "is not a regular file");
  write("config.json", "[]");
  expect_refused(folder(), "config.json: is not a JSON object");
}

TEST_F(Open, RefusesOtherContents) {
  expect_refused(write("empty", ""), "is neither GGUF nor safetensors (0 bytes)");
  expect_refused(write("text", "hello, this is a text file"), "is neither GGUF nor safetensors");
  expect_refused(write("short.gguf", "GG"), "magic at byte 0: needs 4 bytes, 2 left");
  write("config.json", "{}");
  expect_refused(write("short.safetensors", "abc"), "header length at byte 0");
}

// The same model as GGUF and as a Hugging Face folder.
class GoldenModel : public testing::TestWithParam<std::string> {};

fs::path models_folder() { return fs::path(test::golden_dir()) / "models"; }

TEST_P(GoldenModel, BothFormsOpen) {
  const fs::path folder = models_folder() / GetParam();
  if (!fs::exists(folder / "model.gguf") || !fs::exists(folder / "hf")) GTEST_SKIP() << folder << " is not there";
  const auto gguf = open_checkpoint((folder / "model.gguf").string());
  const auto hf = open_checkpoint((folder / "hf").string());
  const bool gpt2 = GetParam() == "gpt2-tiny";  // whose names are its own
  EXPECT_EQ(gguf->metadata.integer(std::string(gguf->metadata.string("general.architecture")) + ".embedding_length", 1,
                                   1'000'000),
            hf->metadata.integer(gpt2 ? "n_embd" : "hidden_size", 1, 1'000'000));
  const TensorInfo& a = gguf->tensor("token_embd.weight");
  const TensorInfo& b = hf->tensor(gpt2 ? "transformer.wte.weight" : "model.embed_tokens.weight");
  EXPECT_EQ(a.shape, b.shape);
  if (a.format == b.format) {
    EXPECT_TRUE(std::ranges::equal(a.data, b.data));
  }
  EXPECT_EQ(gguf->metadata.strings("tokenizer.ggml.tokens").size(), static_cast<size_t>(a.rows()));
}

// Cut at every 4 KiB, a real file is refused (its last tensor misses bytes), whichever part the cut falls in.
TEST_P(GoldenModel, TruncatedIsRefused) {
  const fs::path whole = models_folder() / GetParam() / "model.gguf";
  if (!fs::exists(whole)) GTEST_SKIP() << whole << " is not there";
  const fs::path cut = fs::temp_directory_path() / ("tern-cut-" + std::to_string(::getpid()) + ".gguf");
  fs::copy_file(whole, cut, fs::copy_options::overwrite_existing);
  for (uintmax_t size = fs::file_size(whole) / 4096 * 4096;; size -= 4096) {
    fs::resize_file(cut, size);
    EXPECT_THROW(open_checkpoint(cut.string()), Error) << size;
    if (size == 0) break;
  }
  fs::remove(cut);
}

std::vector<std::string> golden_models() {
  std::vector<std::string> names;
  std::error_code absent;
  for (const auto& entry : fs::directory_iterator(models_folder(), absent)) {
    // Models that see are folders alone.
    if (!entry.path().filename().string().ends_with("-image-tiny")) names.push_back(entry.path().filename());
  }
  std::ranges::sort(names);
  if (names.empty()) names.push_back("none");
  return names;
}

INSTANTIATE_TEST_SUITE_P(All, GoldenModel, testing::ValuesIn(golden_models()), [](const auto& row) {
  std::string name = row.param;
  std::ranges::replace_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});

// A vocabulary of SmolLM2's size: 49k tokens and 48k merges are opened in milliseconds.
TEST_F(Open, LargeVocabularyIsFast) {
  std::vector<std::string> tokens, merges;
  for (int i = 0; i < 49'152; ++i) tokens.push_back("token" + std::to_string(i));
  for (int i = 0; i < 48'900; ++i) merges.push_back("left" + std::to_string(i) + " right");
  GgufBuilder builder;
  builder.strings("tokenizer.ggml.tokens", tokens).strings("tokenizer.ggml.merges", merges);
  builder.numbers("tokenizer.ggml.token_type", std::vector<int32_t>(tokens.size(), 1));
  const std::string path = write("vocabulary.gguf", builder.build());
  double best_ms = 1e9;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const auto checkpoint = open_checkpoint(path);
    best_ms =
        std::min(best_ms, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    EXPECT_EQ(checkpoint->metadata.strings("tokenizer.ggml.tokens")[49'151], "token49151");
  }
  RecordProperty("open_us", static_cast<int>(best_ms * 1000));
  EXPECT_LT(best_ms, 100) << "a loose bound for busy machines and sanitizers; about 2 ms is usual";
}

// Pages that were given back come again with the same bytes; of memory nothing is given back.
TEST_F(Open, ReleasedPagesComeAgain) {
  std::vector<float> values(1 << 20);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  GgufBuilder builder;
  builder.strings("names", {"first"}).tensor_f32("w", {1 << 20}, values);
  const auto checkpoint = open_checkpoint(write("released.gguf", builder.build()));
  const auto whole = [&] { return std::ranges::equal(checkpoint->tensor("w").data, std::as_bytes(std::span(values))); };
  EXPECT_TRUE(whole());
  checkpoint->release_pages();
  EXPECT_EQ(checkpoint->metadata.strings("names")[0], "first");
  EXPECT_TRUE(whole());
}

}  // namespace
}  // namespace tern::test
