#include "server/status_line.h"

#include <algorithm>
#include <utility>

#include "server/log.h"

namespace tern {
namespace {

double percent(double part, double whole) { return whole > 0 ? 100 * part / whole : 0; }

}  // namespace

void StatusLine::log(const EngineStats& stats, int64_t now_ns) {
  const EngineStats before = std::exchange(last_, stats);
  const double seconds = std::max(static_cast<double>(now_ns - std::exchange(last_ns_, now_ns)) * 1e-9, 1e-3);
  const bool nothing = stats.running + stats.waiting == 0 && stats.steps == before.steps;
  if (nothing && quiet_) return;
  quiet_ = nothing;  // one last line of zeros, so that the end can be seen
  const auto rate = [&](int64_t now, int64_t then) { return static_cast<double>(now - then) / seconds; };
  const auto queries = static_cast<double>(stats.prefix_cache_queries - before.prefix_cache_queries);
  const auto hits = static_cast<double>(stats.prefix_cache_hits - before.prefix_cache_hits);
  LogLine(LogLevel::kInfo, "status")
      .add("prompt_tokens_per_s", rate(stats.prompt_tokens, before.prompt_tokens))
      .add("answer_tokens_per_s", rate(stats.answer_tokens, before.answer_tokens))
      .add("running", stats.running)
      .add("waiting", stats.waiting)
      .add("kv_usage_percent", percent(stats.kv_blocks - stats.kv_blocks_free, stats.kv_blocks))
      .add("prefix_hit_percent", percent(hits, queries));
}

}  // namespace tern
