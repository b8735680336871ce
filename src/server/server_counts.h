// What the server counts by itself, beside the engine's own statistics: requests, their times and sizes.
//
// Owned by the HttpServer; the thread that serves the sockets alone reads and writes it, so counting takes no lock.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string_view>
#include <utility>

#include "engine/request.h"
#include "server/histogram.h"

namespace tern {

// Bounds of the histograms: vLLM's, so that its dashboards show the same.
namespace buckets {
inline constexpr std::array kFirstToken{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5,   0.75,
                                        1.0,   2.5,   5.0,  7.5,  10.0, 20.0, 40.0, 80., 160., 640.0, 2560.0};
inline constexpr std::array kTokenGap{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,  0.3,  0.4, 0.5,
                                      0.75, 1.0,   2.5,  5.0,   7.5, 10.0, 20.0, 40.0, 80.0};
inline constexpr std::array kLatency{0.3,  0.5,  0.8,  1.0,  1.5,  2.0,  2.5,   5.0,   10.0,  15.0,  20.0,
                                     30.0, 40.0, 50.0, 60.0, 120., 240., 480.0, 960.0, 1920., 7680.0};
inline constexpr std::array kTokens{1.,    2.,    5.,     10.,    20.,    50.,     100.,    200.,    500.,    1000.,
                                    2000., 5000., 10000., 20000., 50000., 100000., 200000., 500000., 1000000.};
inline constexpr std::array kFew{1., 2., 5., 10., 20.};
inline constexpr std::array kPreemptions{0., 1., 2., 5., 10., 20.};
}  // namespace buckets

struct ServerCounts {
  static constexpr size_t kReasons = static_cast<size_t>(FinishReason::kError) + 1;

  std::array<int64_t, kReasons> finished{};                    // choices, by FinishReason
  std::map<std::pair<std::string_view, int>, int64_t> http{};  // requests by route (of the table) and status
  int64_t connections = 0, connections_refused = 0;            // open now; turned away since the start
  int64_t streams = 0;                                         // answers being written

  Histogram time_to_first_token{buckets::kFirstToken};
  Histogram inter_token_latency{buckets::kTokenGap};
  Histogram time_per_output_token{buckets::kTokenGap};
  Histogram e2e_latency{buckets::kLatency};
  Histogram queue_time{buckets::kLatency};
  Histogram prefill_time{buckets::kLatency};
  Histogram decode_time{buckets::kLatency};
  Histogram inference_time{buckets::kLatency};
  Histogram prompt_tokens{buckets::kTokens};
  Histogram generation_tokens{buckets::kTokens};
  Histogram max_generation_tokens{buckets::kTokens};
  Histogram params_n{buckets::kFew};
  Histogram params_max_tokens{buckets::kTokens};
  Histogram preemptions{buckets::kPreemptions};
};

}  // namespace tern
