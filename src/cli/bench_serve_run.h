// Sends a plan of requests to a server, each at its time and at most so many at once, and keeps what came back.
//
// Everything runs in the calling thread, on as many kept connections as there were requests at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/bench_serve_client.h"
#include "cli/bench_serve_plan.h"
#include "cli/bench_serve_prompts.h"

namespace tern {

struct LoadTarget {
  HttpAddress address;
  RequestStyle style;
  std::chrono::milliseconds silence{600'000};  // without a byte, after which a request has failed
  size_t max_concurrency = 0;                  // 0: no limit
};

struct LoadResult {
  std::vector<RequestRecord> records;  // in the plan's order
  int64_t start_ns = 0;
  double duration_s = 0;
  double cpu_s = 0;  // that this process used meanwhile
};

// The name of the server's first model. Waits up to `patience` for a server that is not there yet or still loading.
std::string first_model(const LoadTarget& target, std::chrono::milliseconds patience);

// Two short requests whose prompts the server counts. Throws when it refuses them.
TokenRate measure_token_rate(const LoadTarget& target);

// `index_base` sets the random words of two runs apart.
LoadResult run_load(const LoadTarget& target, const std::vector<PlannedRequest>& plan, const PromptMaker& prompts,
                    size_t index_base = 0);

}  // namespace tern
