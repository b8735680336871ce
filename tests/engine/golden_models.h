// The tiny random models of tests/golden/models and what transformers makes of them.
#pragma once

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/paths.h"

namespace tern::test {

struct Golden {
  std::string name;
  std::string path;  // of the checkpoint
};

inline std::vector<Golden> goldens() {
  std::vector<Golden> all;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(test::golden_dir()) / "models")) {
    const std::string name = entry.path().filename().string();
    const std::filesystem::path gguf = entry.path() / "model.gguf";  // models that see have none
    if (std::filesystem::exists(gguf)) all.push_back({name, gguf.string()});
    all.push_back({name, (entry.path() / "hf").string()});
  }
  std::sort(all.begin(), all.end(), [](const Golden& a, const Golden& b) { return a.path < b.path; });
  return all;
}

struct Expected {
  nlohmann::json json;
  std::vector<float> logits;
};

inline Expected expected_of(const Golden& golden) {
  const std::filesystem::path folder = std::filesystem::path(test::golden_dir()) / "models" / golden.name;
  Expected out;
  out.json = nlohmann::json::parse(std::ifstream(folder / "expected.json"));
  std::ifstream raw(folder / "logits.f32", std::ios::binary);
  std::vector<char> bytes((std::istreambuf_iterator<char>(raw)), std::istreambuf_iterator<char>());
  out.logits.resize(bytes.size() / sizeof(float));
  std::memcpy(out.logits.data(), bytes.data(), out.logits.size() * sizeof(float));
  return out;
}

// For the names of tests.
inline std::string test_name(const Golden& golden) {
  std::string name = golden.name + (golden.path.ends_with(".gguf") ? "_gguf" : "_safetensors");
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

}  // namespace tern::test
