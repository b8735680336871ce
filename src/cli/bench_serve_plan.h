// What tern bench serve will send, and when: lengths, arrival times, shared prefixes, conversations. Pure functions of
// the options and the seed, so that two servers get the same load.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tern {

// "256", "uniform:64:512", "loguniform:10:500", "lognormal:MEDIAN:SIGMA:MAX" (SIGMA of the logarithm); at least 1.
class LengthDistribution {
 public:
  // Throws a bad-input line naming `flag`.
  static LengthDistribution parse(std::string_view text, std::string_view flag);
  // As vllm bench serve: uniform in length * (1 - range_ratio) .. length * (1 + range_ratio).
  static LengthDistribution around(int64_t length, double range_ratio);

  int64_t sample(uint64_t seed, uint64_t index) const;

 private:
  enum class Kind { kUniform, kLogUniform, kLogNormal };
  Kind kind_ = Kind::kUniform;
  double low_ = 1, high_ = 1;  // of kLogNormal: median, sigma
  double max_ = 0;
};

// Seconds from the start at which `count` requests arrive: intervals drawn from a gamma distribution of shape
// `burstiness` (1: a Poisson process; infinite: even), stretched so that the last arrives at count / rate, as vllm
// bench serve does. All zero when the rate is infinite.
std::vector<double> arrival_times(size_t count, double rate, double burstiness, uint64_t seed);

// One line of a file of requests: {"in": 200, "out": 100}, and "at": 1.5 when it arrives at a time of its own.
struct TraceLine {
  int64_t input_tokens = 1, output_tokens = 1;
  std::optional<double> at_s;
};
// Throws a line that names `file` and the line.
std::vector<TraceLine> parse_trace(std::string_view text, const std::string& file);

struct PlannedRequest {
  double at_s = 0;            // after the start; later turns follow their conversation's last answer instead
  int64_t input_tokens = 1;   // its own, without prefix and history
  int64_t output_tokens = 1;  // at most; exactly with ignore_eos
  int64_t prefix_group = 0;   // of those whose prompts begin alike
  int64_t conversation = -1;  // none
  int64_t next_turn = -1;     // the request that follows it, by index
  bool first_turn = true;
};

struct PlanOptions {
  std::optional<size_t> num_prompts;  // default: as many as the trace has lines, else 1000
  LengthDistribution input = LengthDistribution::around(1024, 0);
  LengthDistribution output = LengthDistribution::around(128, 0);
  std::vector<TraceLine> trace;  // instead of the distributions; from the start again when it is short and has no times
  size_t prefixes = 1;           // different shared prefixes, in turn
  size_t conversations = 0;      // that the requests are the turns of, in turn; 0: each stands alone
  double request_rate = std::numeric_limits<double>::infinity();
  double burstiness = 1;
  uint64_t seed = 0;
};

std::vector<PlannedRequest> plan_requests(const PlanOptions& options);

}  // namespace tern
