#include "cli/bench_options.h"

#include <fmt/core.h>

#include <sstream>

#include "core/error.h"
#include "core/limits.h"

namespace tern {

std::vector<int64_t> parse_list(const std::string& text, const std::string& flag) {
  std::vector<int64_t> out;
  std::stringstream items(text);
  for (std::string item; std::getline(items, item, ',');) {
    out.push_back(parse_count(item, flag));
    if (out.back() > static_cast<int64_t>(Limits::kContext)) {
      bad_input(fmt::format("[bench] {} {} exceeds {}", flag, out.back(), Limits::kContext));
    }
  }
  return out;
}

std::vector<int64_t> parse_sequences(const std::string& text) {
  std::vector<int64_t> out = parse_list(text, "-npl");
  for (const int64_t sequences : out) {
    if (sequences < 1 || sequences > 1024) bad_input(fmt::format("[bench] -npl {} is not in 1..1024", sequences));
  }
  return out;
}

}  // namespace tern
