#include "program.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "support/paths.h"

namespace tern::test {
namespace {

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

[[noreturn]] void become_tern(const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
                              const std::string& out, const std::string& err) {
  if (std::freopen("/dev/null", "r", stdin) == nullptr || std::freopen(out.c_str(), "w", stdout) == nullptr ||
      std::freopen(err.c_str(), "w", stderr) == nullptr) {
    _exit(126);
  }
  for (const std::string& pair : environment) ::putenv(const_cast<char*>(pair.c_str()));
  std::string program = test::build_dir() + "/tern";
  std::vector<char*> argv{program.data()};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  _exit(127);
}

}  // namespace

Outcome run_tern(const std::vector<std::string>& arguments, const std::vector<std::string>& environment) {
  static int calls = 0;
  const std::string base =
      testing::TempDir() + "tern_e2e_" + std::to_string(::getpid()) + "_" + std::to_string(calls++);
  const std::string out = base + ".out", err = base + ".err";
  const pid_t child = ::fork();
  if (child == 0) become_tern(arguments, environment, out, err);
  int status = 0;
  ::waitpid(child, &status, 0);
  Outcome outcome{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), slurp(out), slurp(err)};
  std::filesystem::remove(out);
  std::filesystem::remove(err);
  return outcome;
}

std::string tiny_model() { return test::golden_dir() + "/models/llama-tiny/model.gguf"; }

std::string temporary_file(const std::string& name, const std::string& contents) {
  const std::string path = testing::TempDir() + "tern_e2e_" + std::to_string(::getpid()) + "_" + name;
  std::ofstream(path, std::ios::binary) << contents;
  return path;
}

}  // namespace tern::test
