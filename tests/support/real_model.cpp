#include "support/real_model.h"

#include <cstdlib>
#include <filesystem>

namespace tern::test {

std::string smollm2_path() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::filesystem::path(value == nullptr ? "" : value);
  };
  std::filesystem::path cache = variable("TERN_CACHE");
  if (cache.empty() && !variable("XDG_CACHE_HOME").empty()) cache = variable("XDG_CACHE_HOME") / "tern";
  if (cache.empty()) cache = variable("HOME") / ".cache" / "tern";
  const std::filesystem::path model = cache / "models" / "smollm2.gguf";
  std::error_code ignored;
  return std::filesystem::exists(model, ignored) ? model.string() : "";
}

bool model_required() { return std::getenv("TERN_REQUIRE_MODEL") != nullptr; }

}  // namespace tern::test
