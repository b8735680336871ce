#include "engine/runner/runner.h"

namespace tern {

std::string_view name_of(PackCacheState state) {
  constexpr std::string_view kNames[] = {"off", "miss", "hit"};
  return kNames[static_cast<size_t>(state)];
}

std::vector<OpReport> Runner::report() const {
  Batch one;
  one.tokens = {0};
  one.slices[0] = {{.query_begin = 0, .query_len = 1, .history_len = 0, .block_table = nullptr}};
  one.wanted = {0};
  return report(one);
}

}  // namespace tern
