// Runs the built program as a person would and gives back what it printed.
#pragma once

#include <string>
#include <vector>

namespace tern::test {

struct Outcome {
  int exit_code = -1;
  std::string out;
  std::string err;
};

// `arguments` go to build/.../tern as they are; `environment` adds NAME=VALUE pairs.
Outcome run_tern(const std::vector<std::string>& arguments, const std::vector<std::string>& environment = {});

// A tiny model of tests/golden that has a tokenizer.
std::string tiny_model();

// A file under the test's temporary folder with these contents.
std::string temporary_file(const std::string& name, const std::string& contents);

}  // namespace tern::test
