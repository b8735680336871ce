// SmolLM2-135M-Instruct, where `tern pull smollm2` left it. Tests that want it skip with a reason when it is not there,
// unless TERN_REQUIRE_MODEL is set: then its absence fails them.
#pragma once

#include <gtest/gtest.h>

#include <string>

namespace tern::test {

// Empty when it is not in the cache.
std::string smollm2_path();
bool model_required();

}  // namespace tern::test

// In a test's body: `path` becomes the model's path, or the test ends here.
#define TERN_NEED_SMOLLM2(path)                                                                                 \
  const std::string path = ::tern::test::smollm2_path();                                                        \
  if (path.empty()) {                                                                                           \
    if (::tern::test::model_required()) FAIL() << "TERN_REQUIRE_MODEL is set, but SmolLM2 is not in the cache"; \
    GTEST_SKIP() << "SmolLM2 is not in the cache: run `tern pull smollm2`";                                     \
  }                                                                                                             \
  static_assert(true)
