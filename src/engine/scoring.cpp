#include "engine/scoring.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/error.h"

namespace tern {

void score(Runner& runner, const ScoringLimits& limits, std::span<const int32_t> ids, int64_t first,
           const std::function<void(int64_t, std::span<const float>)>& sink) {
  const auto total = static_cast<int64_t>(ids.size());
  const int64_t capacity = static_cast<int64_t>(runner.kv_groups()[0].blocks) * limits.block_tokens;
  if (total > capacity) {
    bad_input("[score] the text has " + std::to_string(total) + " tokens, the KV pool holds " +
              std::to_string(capacity));
  }
  std::vector<int32_t> blocks(static_cast<size_t>((total + limits.block_tokens - 1) / limits.block_tokens));
  std::iota(blocks.begin(), blocks.end(), 0);
  const int64_t chunk = std::min(limits.max_batched_tokens, limits.max_rows);
  Batch batch(runner.kv_groups().size());
  for (int64_t begin = 0; begin < total; begin += chunk) {
    const int64_t end = std::min(begin + chunk, total);
    batch.tokens.assign(ids.begin() + begin, ids.begin() + end);
    for (auto& group : batch.slices) {
      group.assign(1, {0, static_cast<int32_t>(end - begin), static_cast<int32_t>(begin), blocks.data()});
    }
    batch.wanted.clear();
    for (int64_t p = std::max(begin, first); p < end; ++p) batch.wanted.push_back(static_cast<int32_t>(p - begin));
    const std::span<const float> logits = runner.execute(batch);
    if (batch.wanted.empty()) continue;
    const size_t vocabulary = logits.size() / batch.wanted.size();
    for (size_t row = 0; row < batch.wanted.size(); ++row) {
      sink(begin + batch.wanted[row], logits.subspan(row * vocabulary, vocabulary));
    }
  }
}

}  // namespace tern
