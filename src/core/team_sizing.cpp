#include "core/team_sizing.h"

#include <algorithm>
#include <numeric>

namespace tern {
namespace {

// A few scheduler slices of 3 to 4 ms: long enough to tell a neighbour that stays from one that passes.
constexpr int64_t kWindowNs = 20'000'000;
// How long a worker stays out, doubled each time that it comes back to the same: trying costs one window, so at most a
// hundredth of the time in the end.
constexpr int64_t kShortestPauseNs = 50'000'000;
constexpr int64_t kLongestPauseNs = 2'000'000'000;

}  // namespace

TeamSizing::TeamSizing(int workers)
    : order_(static_cast<size_t>(workers)),
      active_(workers),
      window_(static_cast<size_t>(workers)),
      pause_ns_(kShortestPauseNs) {
  std::iota(order_.begin(), order_.end(), 0);
}

void TeamSizing::observe(int64_t now_ns, int64_t wall_ns, std::span<const Worker> workers) {
  const auto size = static_cast<int>(order_.size());
  if (active_ < size && now_ns >= resume_at_ns_) {
    active_ = size;
    std::sort(order_.begin(), order_.end());
    clear_window();
    return;
  }
  for (size_t i = 0; i < window_.size(); ++i) {
    window_[i].parked_ns += workers[i].parked_ns;
    window_[i].preemptions += workers[i].preemptions;
  }
  window_ns_ += wall_ns;
  if (window_ns_ < kWindowNs) return;
  if (active_ > 1) judge(now_ns);
  clear_window();
}

void TeamSizing::judge(int64_t now_ns) {
  // The one that waited least kept the others waiting; what it cost is the least that any of them waited.
  const auto waited_less = [&](int a, int b) {
    return window_[static_cast<size_t>(a)].parked_ns < window_[static_cast<size_t>(b)].parked_ns;
  };
  const auto end = order_.begin() + active_;
  const auto slowest = std::min_element(order_.begin(), end, waited_less);
  int64_t lost_ns = window_ns_;
  for (auto it = order_.begin(); it != end; ++it) {
    if (it != slowest) lost_ns = std::min(lost_ns, window_[static_cast<size_t>(*it)].parked_ns);
  }
  const bool preempted = window_[static_cast<size_t>(*slowest)].preemptions > 0;
  if (preempted && lost_ns * (active_ - 1) > window_ns_ - lost_ns) {
    // Worker 0 cannot stay out: another one does, and leaves it a processor.
    if (*slowest != 0) std::rotate(slowest, slowest + 1, end);
    --active_;
    resume_at_ns_ = now_ns + pause_ns_;
    pause_ns_ = std::min(2 * pause_ns_, kLongestPauseNs);
  } else if (active_ == static_cast<int>(order_.size())) {
    pause_ns_ = std::max(pause_ns_ / 2, kShortestPauseNs);
  }
}

void TeamSizing::clear_window() {
  std::fill(window_.begin(), window_.end(), Worker{});
  window_ns_ = 0;
}

}  // namespace tern
