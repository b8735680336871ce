// What tests of runners on synthetic models share: a configuration in a file of its own, and how far logits are apart.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace tern::test {

// A config.json's text that `synth:` reads, gone with this.
class ConfigFile {
 public:
  explicit ConfigFile(const std::string& name)
      : path_(std::filesystem::temp_directory_path() / ("tern-" + name + "-" + std::to_string(::getpid()))) {}
  ~ConfigFile() { std::filesystem::remove(path_); }
  ConfigFile(const ConfigFile&) = delete;
  ConfigFile& operator=(const ConfigFile&) = delete;
  void write(const std::string& text) const { std::ofstream(path_) << text; }
  std::string model(const std::string& type) const { return "synth:" + path_.string() + ":" + type; }

 private:
  std::filesystem::path path_;
};

// Squared error over squared logits.
inline double squared_error(const std::vector<float>& got, const std::vector<float>& want) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double difference = double{got.at(i)} - double{want[i]};
    error += difference * difference;
    norm += double{want[i]} * double{want[i]};
  }
  return error / norm;
}

}  // namespace tern::test
