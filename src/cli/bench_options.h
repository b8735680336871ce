// The command line of `tern bench`, for a model's speed and for its roofline.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/options.h"

namespace tern {

struct BenchOptions {
  ModelOptions model;
  bool roofline = false;
  std::string prompts = "512", gens = "128", threads = "0";
  std::string depths, parallel;  // empty: not given
  int64_t repetitions = 5;
  std::string format = "md";
};

// "1,2,8" -> {1, 2, 8}; throws a bad-input line naming `flag`.
std::vector<int64_t> parse_list(const std::string& text, const std::string& flag);

// The sequence counts of -npl.
std::vector<int64_t> parse_sequences(const std::string& text);

}  // namespace tern
