// Checkpoints that other programs quantized: every matrix has, bit for bit, the values that its codes and scales stand
// for; and what is refused of those whose tensors are missing or disagree.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/sha256.h"
#include "formats/safetensors_file.h"
#include "model/open_model.h"
#include "model/weights.h"
#include "support/paths.h"

namespace tern {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(test::golden_dir()) / "quantized";

struct QuantizedCase {
  std::string name;
  Format format;  // of its projections
};
void PrintTo(const QuantizedCase& c, std::ostream* out) { *out << c.name; }

class Quantized : public testing::TestWithParam<QuantizedCase> {};

TEST_P(Quantized, ValuesAreThoseOfTheCodes) {
  const fs::path folder = kGolden / GetParam().name;
  const auto expected = nlohmann::json::parse(std::ifstream(folder / "expected.json"));
  for (const int threads : {1, 2}) {
    const auto checkpoint = open_model(folder.string(), Weights::kReady, threads);
    ASSERT_EQ(expected["sha256"].size(), 7u);
    for (const auto& [name, digest] : expected["sha256"].items()) {
      const TensorInfo& tensor = checkpoint->tensor(name);
      EXPECT_EQ(name_of(tensor.format), name_of(GetParam().format)) << name;
      std::vector<float> values = decode_tensor(tensor);
      for (float& value : values) value += 0.0f;  // zeros have one sign
      Sha256 hash;
      hash.update({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
      EXPECT_EQ(hash.hex(), digest.get<std::string>()) << name;
    }
    ASSERT_FALSE(checkpoint->notes.empty());
    EXPECT_NE(checkpoint->notes[0].find(name_of(GetParam().format)), std::string::npos) << checkpoint->notes[0];
    EXPECT_TRUE(checkpoint->stored.empty());
  }
}

// What a model is can be told without its weights being made.
TEST_P(Quantized, IsDescribedWithoutItsWeights) {
  const std::string folder = (kGolden / GetParam().name).string();
  const auto ready = open_model(folder, Weights::kReady, 1), unread = open_model(folder, Weights::kUnread, 1);
  ASSERT_EQ(ready->tensors.size(), unread->tensors.size());
  for (size_t i = 0; i < ready->tensors.size(); ++i) {
    EXPECT_EQ(ready->tensors[i].name, unread->tensors[i].name);
    EXPECT_EQ(ready->tensors[i].format, unread->tensors[i].format);
    EXPECT_EQ(ready->tensors[i].shape, unread->tensors[i].shape);
  }
  EXPECT_EQ(ready->notes, unread->notes);
  EXPECT_EQ(ready->tensors.size(), 3u + 2u + 7u) << "embedding, head, norms, projections, and no scales";
}

const QuantizedCase kCases[] = {
    {"gptq-4-sym-128", Format::kQ4_0},      {"gptq-4-asym-32-v2", Format::kU4Zero},
    {"gptq-8-sym-column", Format::kQ8_0},   {"gptq-4-asym-64-act-order", Format::kF16},
    {"gptq-3-asym-64", Format::kQ4_0},      {"gptq-2-sym-32", Format::kQ4_0},
    {"awq-4-64", Format::kU4Zero},          {"ct-pack-4-sym-128", Format::kQ4_0},
    {"ct-pack-4-asym-32", Format::kU4Zero}, {"ct-pack-4-act-order", Format::kBF16},
    {"ct-pack-6-channel", Format::kQ8_0},   {"ct-int8", Format::kQ8_0},
    {"ct-fp8-channel", Format::kF8E4M3},    {"ct-fp8-tensor", Format::kF8E4M3},
    {"fp8-blocks", Format::kF8E4M3},        {"ct-nvfp4", Format::kBF16},
    {"ct-mxfp4", Format::kMXFP4},
};
INSTANTIATE_TEST_SUITE_P(All, Quantized, testing::ValuesIn(kCases), [](const auto& row) {
  std::string name = row.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(QuantizedGolden, EveryOneHasACase) {
  size_t folders = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(kGolden)) ++folders;
  EXPECT_EQ(folders, std::size(kCases));
}

// How far scales reach, which decides what a GPU computes on.
TEST(QuantizedGolden, ScalesReachAsTheFileSays) {
  const auto reach = [](const char* name, const char* tensor) {
    const auto checkpoint = open_model((kGolden / name).string(), Weights::kUnread, 1);
    const TensorInfo& info = checkpoint->tensor(tensor);
    return std::pair(info.scale_rows, info.scale_cols);
  };
  constexpr const char* kGate = "model.layers.0.mlp.gate_proj.weight";  // 256 x 128
  EXPECT_EQ(reach("ct-fp8-channel", kGate), std::pair(int64_t{1}, int64_t{128}));
  EXPECT_EQ(reach("ct-fp8-tensor", kGate), std::pair(int64_t{256}, int64_t{128}));
  EXPECT_EQ(reach("fp8-blocks", kGate), std::pair(int64_t{128}, int64_t{128}));
}

// ---- what is refused

// Tensors of a file, their bytes a pattern.
class Tensors {
 public:
  Tensors& add(const std::string& name, const std::string& dtype, std::vector<int64_t> shape, size_t element_bytes) {
    size_t bytes = element_bytes;
    for (const int64_t dim : shape) bytes *= static_cast<size_t>(dim);
    header_[name] = {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {end_, end_ + bytes}}};
    end_ += bytes;
    return *this;
  }
  std::vector<std::byte> file() const { return test::safetensors_file(header_.dump(), end_); }

 private:
  nlohmann::json header_ = nlohmann::json::object();
  size_t end_ = 0;
};

class QuantizedRefusal : public testing::Test {
 protected:
  QuantizedRefusal() : folder_(fs::temp_directory_path() / ("tern-quantized-" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~QuantizedRefusal() override { fs::remove_all(folder_); }

  void write(const Tensors& tensors, const std::string& config) const {
    const std::vector<std::byte> bytes = tensors.file();
    std::ofstream(folder_ / "model.safetensors", std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    std::ofstream(folder_ / "config.json") << R"({"quantization_config":)" << config << "}";
  }
  std::string refusal(const Tensors& tensors, const std::string& config) const {
    write(tensors, config);
    try {
      open_model(folder_.string(), Weights::kReady, 1);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput) << error.what();
      return error.what();
    }
    return "";
  }
  void expect_refused(const Tensors& tensors, const std::string& config, const std::string& part) const {
    const std::string message = refusal(tensors, config);
    EXPECT_NE(message.find(part), std::string::npos) << "got: " << message << "\nwanted: " << part;
    EXPECT_NE(message.find(folder_.string()), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }

  const fs::path folder_;
};

constexpr const char* kGptq = R"({"quant_method":"gptq","bits":4,"group_size":32})";
constexpr const char* kAwq = R"({"quant_method":"awq","bits":4,"group_size":32})";
constexpr const char* kFp8 = R"({"quant_method":"fp8"})";
constexpr const char* kCompressed = R"({"quant_method":"compressed-tensors"})";

// 64 inputs, 16 outputs, groups of 32.
Tensors gptq_tensors() {
  Tensors tensors;
  tensors.add("m.qweight", "I32", {8, 16}, 4).add("m.qzeros", "I32", {2, 2}, 4);
  return tensors.add("m.scales", "F16", {2, 16}, 2);
}

TEST_F(QuantizedRefusal, MethodsThatAreNotRead) {
  for (const char* method : {"bitsandbytes", "hqq", "quark", "aqlm", "modelopt", "", "GPTQ"}) {
    expect_refused(gptq_tensors(), fmt::format(R"({{"quant_method":"{}"}})", method),
                   fmt::format("'{}' is not read; read are gptq, awq, fp8", method));
  }
  expect_refused(gptq_tensors(), R"({"bits":4})", "'none' is not read");
  expect_refused(gptq_tensors(), R"({"quant_method":4})", "quant_method");
  expect_refused(gptq_tensors(), R"({"quant_method":"awq","bits":4,"version":"gemv"})", "'gemv' is not read");
  expect_refused(gptq_tensors(), R"({"quant_method":"awq","bits":3})", "bits");
  expect_refused(Tensors(), R"({"quant_method":"compressed-tensors","format":"marlin-24"})", "'marlin-24'");
  expect_refused(Tensors(),
                 R"({"quant_method":"compressed-tensors","config_groups":{"group_0":{"format":"sparse-bitmask"}}})",
                 "'sparse-bitmask'");
  expect_refused(
      Tensors(),
      R"({"quant_method":"compressed-tensors","transform_config":{"config_groups":{"u":{"type":"hadamard"}}}})",
      "transforms");
}

TEST_F(QuantizedRefusal, GptqTensorsThatDisagree) {
  EXPECT_EQ(refusal(gptq_tensors(), kGptq), "") << "these agree";
  Tensors tensors;
  expect_refused(tensors.add("m.qweight", "I32", {8, 16}, 4), kGptq, "m: .scales of type F32, F16 or BF16 is missing");
  expect_refused(tensors.add("m.scales", "F16", {2, 16}, 2), kGptq, "m: .qzeros of type I32 is missing");
  expect_refused(tensors.add("m.qzeros", "I32", {2, 3}, 4), kGptq, ".qzeros is 2 x 3, and 2 x 2 is needed");
  expect_refused(gptq_tensors().add("m.g_idx", "I32", {63}, 4), kGptq, "are not codes of 2, 3, 4 or 8 bits");
  expect_refused(gptq_tensors().add("m.g_idx", "I32", {64}, 4), kGptq, ".g_idx: group");  // a pattern is no group
  expect_refused(gptq_tensors().add("m.g_idx", "I64", {64}, 8), kGptq, ".g_idx is I64, and I32 is needed");
  expect_refused(gptq_tensors(), R"({"quant_method":"gptq","bits":4,"group_size":16})", ".scales: 2 groups");
  expect_refused(gptq_tensors(), R"({"quant_method":"gptq","bits":5})", "not codes of 2, 3, 4 or 8 bits");
  expect_refused(gptq_tensors(), R"({"quant_method":"gptq"})", "bits");
  tensors = Tensors();
  tensors.add("m.qweight", "I32", {8, 15}, 4).add("m.qzeros", "I32", {2, 2}, 4).add("m.scales", "F16", {2, 16}, 2);
  expect_refused(tensors, kGptq, ".qweight is 8 x 15, and any x 16 is needed");
}

TEST_F(QuantizedRefusal, AwqTensorsThatDisagree) {
  Tensors tensors;
  tensors.add("m.qweight", "I32", {64, 2}, 4).add("m.qzeros", "I32", {2, 2}, 4).add("m.scales", "F16", {2, 16}, 2);
  EXPECT_EQ(refusal(tensors, kAwq), "") << "these agree";
  tensors = Tensors();
  tensors.add("m.qweight", "I32", {64, 2}, 4).add("m.scales", "F16", {2, 12}, 2);
  expect_refused(tensors, kAwq, "12 outputs are not whole words of eight");
  tensors = Tensors();
  tensors.add("m.qweight", "I32", {64, 2}, 4).add("m.scales", "F16", {5, 16}, 2);
  expect_refused(tensors, kAwq, "64 inputs are not 5 groups");
}

TEST_F(QuantizedRefusal, Fp8TensorsThatDisagree) {
  Tensors tensors;
  tensors.add("m.weight", "F8_E4M3", {16, 64}, 1);
  expect_refused(tensors, kFp8, "neither .weight_scale_inv nor .weight_scale is there");
  Tensors wrong = tensors;
  expect_refused(wrong.add("m.weight_scale_inv", "F32", {3, 1}, 4), kFp8, "3 scales for 16 are not blocks of 128");
  wrong = tensors;
  expect_refused(wrong.add("m.weight_scale", "F32", {3}, 4), kFp8, "other dimensions than the weight");
  wrong = tensors;
  wrong.add("m.weight_scale_inv", "F32", {3, 1}, 4);
  expect_refused(wrong, R"({"quant_method":"fp8","weight_block_size":[128]})", "is not two numbers");
  // The pattern of bytes holds 0x7f, which is not a number.
  wrong = tensors;
  expect_refused(wrong.add("m.weight_scale", "F32", {1}, 4), kFp8,
                 "m.weight has values or scales that are not numbers");
}

TEST_F(QuantizedRefusal, CompressedTensorsThatDisagree) {
  Tensors tensors;
  tensors.add("m.weight_packed", "I32", {16, 8}, 4).add("m.weight_scale", "BF16", {16, 2}, 2);
  expect_refused(tensors, kCompressed, ".weight_shape of type I64 is missing");
  expect_refused(tensors.add("m.weight_shape", "I64", {2}, 8), kCompressed, ".weight_shape: ");  // a pattern
  tensors = Tensors();
  tensors.add("m.weight_packed", "U8", {16, 24}, 1);
  expect_refused(tensors, kCompressed, "48 inputs are not whole blocks of 32");
  tensors.add("m.weight_scale", "F8_E4M3", {16, 2}, 1);
  expect_refused(tensors, kCompressed, ".weight_scale is 16 x 2, and 16 x 3 is needed");
  tensors = Tensors();
  tensors.add("m.weight", "I8", {16, 64}, 1);
  expect_refused(tensors, kCompressed, ".weight_scale of type F32, F16 or BF16 is missing");
  expect_refused(tensors.add("m.weight_scale", "F32", {16, 3}, 4), kCompressed, "3 groups of 64 inputs");
}

// As folders have it from before config.json told how a model was quantized.
TEST_F(QuantizedRefusal, AFileOfItsOwnMaySayGptq) {
  write(gptq_tensors(), "null");
  EXPECT_EQ(open_model(folder_.string(), Weights::kReady, 1)->find("m.weight"), nullptr);
  std::ofstream(folder_ / "quantize_config.json") << R"({"bits":4,"group_size":32,"desc_act":false})";
  const auto checkpoint = open_model(folder_.string(), Weights::kReady, 1);
  EXPECT_EQ(checkpoint->tensor("m.weight").shape, (std::vector<int64_t>{16, 64}));
}

// A weight of a type that the configuration says nothing about is named, not missing.
TEST_F(QuantizedRefusal, UnexplainedTypesAreNamed) {
  Tensors tensors;
  write(tensors.add("m.weight", "F8_E4M3", {16, 64}, 1), "null");
  try {
    open_model(folder_.string(), Weights::kReady, 1)->tensor("m.weight");
    ADD_FAILURE() << "not refused";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("m.weight is F8_E4M3"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace tern
