#include "cli/bench_serve_plan.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "core/error.h"
#include "core/limits.h"
#include "core/rng.h"

namespace tern {
namespace {

// Independent sequences of draws from one seed.
enum Stream : uint64_t { kInputs = 1, kOutputs, kArrivals };

constexpr uint64_t stream(uint64_t seed, Stream which) { return mix64(seed) + which; }

// (0, 1]: what a logarithm takes.
double positive_unit(uint64_t seed, uint64_t index) { return 1.0 - random_unit(seed, index); }

// Box and Muller 1958, from two draws.
double normal(uint64_t seed, uint64_t index) {
  return std::sqrt(-2.0 * std::log(positive_unit(seed, 2 * index))) *
         std::cos(2.0 * std::numbers::pi * random_unit(seed, 2 * index + 1));
}

// Marsaglia and Tsang 2000, of mean `shape`. A shape below 1 is drawn at shape + 1 and scaled by U^(1/shape).
double gamma(double shape, uint64_t seed, uint64_t index) {
  if (shape == 1) return -std::log(positive_unit(seed, index));
  const uint64_t own = mix64(seed ^ mix64(index));
  if (shape < 1) return gamma(shape + 1, own, 0) * std::pow(positive_unit(own, 1), 1.0 / shape);
  const double d = shape - 1.0 / 3.0, c = 1.0 / std::sqrt(9.0 * d);
  for (uint64_t round = 1;; ++round) {
    const double x = normal(own, 2 * round), cube = 1.0 + c * x;
    if (cube <= 0) continue;
    const double v = cube * cube * cube;
    if (std::log(positive_unit(own, (uint64_t{1} << 32) + round)) < 0.5 * x * x + d - d * v + d * std::log(v)) {
      return d * v;
    }
  }
}

std::vector<double> numbers_of(std::string_view text, std::string_view whole, std::string_view flag) {
  std::vector<double> out;
  while (true) {
    const std::string_view item = text.substr(0, text.find(':'));
    double value = 0;
    const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), value);
    if (error != std::errc() || end != item.data() + item.size() || !(value >= 0 && value <= Limits::kContext)) {
      bad_input(fmt::format("[bench] {} \"{}\": \"{}\" is not a number in 0..{}", flag, printable(whole),
                            printable(item), Limits::kContext));
    }
    out.push_back(value);
    if (item.size() == text.size()) return out;
    text.remove_prefix(item.size() + 1);
  }
}

int64_t length_of(const nlohmann::json& line, const char* key, const std::string& where) {
  const auto found = line.find(key);
  if (found == line.end() || !found->is_number_integer()) bad_input(where + "there is no whole number \"" + key + "\"");
  const auto value = found->get<int64_t>();
  if (value < 1 || value > static_cast<int64_t>(Limits::kContext)) {
    bad_input(fmt::format("{}\"{}\" {} is not in 1..{}", where, key, value, Limits::kContext));
  }
  return value;
}

}  // namespace

LengthDistribution LengthDistribution::parse(std::string_view text, std::string_view flag) {
  const size_t colon = text.find(':');
  const std::string_view name = colon == std::string_view::npos ? "fixed" : text.substr(0, colon);
  const std::vector<double> n = numbers_of(colon == std::string_view::npos ? text : text.substr(colon + 1), text, flag);
  const auto needs = [&](bool right, const char* form) {
    if (!right) bad_input(fmt::format("[bench] {} \"{}\" is not of the form {}", flag, printable(text), form));
  };
  LengthDistribution out;
  if (name == "fixed") {
    needs(n.size() == 1 && n[0] >= 1, "fixed:LENGTH, 1 or more");
    return around(static_cast<int64_t>(n[0]), 0);
  } else if (name == "uniform" || name == "loguniform") {
    needs(n.size() == 2 && n[0] >= 1 && n[1] >= n[0], "uniform:LEAST:MOST or loguniform:LEAST:MOST");
    out.kind_ = name == "uniform" ? Kind::kUniform : Kind::kLogUniform;
    out.max_ = n[1];
  } else {
    needs(name == "lognormal" && n.size() == 3 && n[0] >= 1 && n[2] >= 1,
          "LENGTH, uniform:LEAST:MOST, loguniform:LEAST:MOST or lognormal:MEDIAN:SIGMA:MOST");
    out.kind_ = Kind::kLogNormal;
    out.max_ = n[2];
  }
  out.low_ = n[0];
  out.high_ = n[1];
  return out;
}

LengthDistribution LengthDistribution::around(int64_t length, double range_ratio) {
  LengthDistribution out;
  out.low_ = std::max(1.0, std::floor(static_cast<double>(length) * (1 - range_ratio)));
  out.high_ = out.max_ = std::max(out.low_, std::ceil(static_cast<double>(length) * (1 + range_ratio)));
  return out;
}

int64_t LengthDistribution::sample(uint64_t seed, uint64_t index) const {
  double value = 0;
  switch (kind_) {
    case Kind::kUniform:
      value = low_ + std::floor(random_unit(seed, index) * (high_ - low_ + 1));
      break;
    case Kind::kLogUniform:
      value = std::round(low_ * std::pow(high_ / low_, random_unit(seed, index)));
      break;
    case Kind::kLogNormal:
      value = std::round(low_ * std::exp(high_ * normal(seed, index)));
      break;
  }
  return static_cast<int64_t>(std::clamp(value, 1.0, max_));
}

std::vector<double> arrival_times(size_t count, double rate, double burstiness, uint64_t seed) {
  std::vector<double> times(count, 0.0);
  if (std::isinf(rate)) return times;
  double now = 0;
  for (size_t i = 0; i < count; ++i) {
    now += std::isinf(burstiness) ? 1.0 : gamma(burstiness, stream(seed, kArrivals), i);
    times[i] = now;
  }
  const double stretch = now > 0 ? static_cast<double>(count) / rate / now : 0;
  for (double& time : times) time *= stretch;
  return times;
}

std::vector<TraceLine> parse_trace(std::string_view text, const std::string& file) {
  std::vector<TraceLine> out;
  for (size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("[bench] {}:{}: ", printable(file), number);
    const nlohmann::json parsed = nlohmann::json::parse(line, nullptr, false);
    if (!parsed.is_object()) bad_input(where + R"(not an object such as {"in": 200, "out": 100})");
    TraceLine request{.input_tokens = length_of(parsed, "in", where), .output_tokens = length_of(parsed, "out", where)};
    if (const auto at = parsed.find("at"); at != parsed.end()) {
      if (!at->is_number() || at->get<double>() < 0) bad_input(where + "\"at\" is not a time in seconds");
      request.at_s = at->get<double>();
    }
    if (!out.empty() && out.back().at_s.has_value() != request.at_s.has_value()) {
      bad_input(where + "either every line has \"at\", or none");
    }
    if (!out.empty() && request.at_s < out.back().at_s) bad_input(where + "\"at\" lies before the line above");
    out.push_back(request);
  }
  if (out.empty()) bad_input("[bench] " + printable(file) + " holds no request");
  return out;
}

std::vector<PlannedRequest> plan_requests(const PlanOptions& options) {
  size_t count = options.num_prompts.value_or(options.trace.empty() ? 1000 : options.trace.size());
  if (!options.trace.empty() && options.trace.front().at_s) count = std::min(count, options.trace.size());
  const size_t starts = options.conversations > 0 ? std::min(options.conversations, count) : count;
  const std::vector<double> times = arrival_times(starts, options.request_rate, options.burstiness, options.seed);
  std::vector<PlannedRequest> out(count);
  for (size_t i = 0; i < count; ++i) {
    PlannedRequest& request = out[i];
    request.first_turn = i < starts;
    if (request.first_turn) request.at_s = times[i];
    if (options.conversations > 0) {
      request.conversation = static_cast<int64_t>(i % starts);
      if (i + starts < count) request.next_turn = static_cast<int64_t>(i + starts);
    }
    request.prefix_group = static_cast<int64_t>((i % starts) % std::max<size_t>(options.prefixes, 1));
    if (options.trace.empty()) {
      request.input_tokens = options.input.sample(stream(options.seed, kInputs), i);
      request.output_tokens = options.output.sample(stream(options.seed, kOutputs), i);
    } else {
      const TraceLine& line = options.trace[i % options.trace.size()];
      request.input_tokens = line.input_tokens;
      request.output_tokens = line.output_tokens;
      if (line.at_s && request.first_turn) request.at_s = *line.at_s;
    }
  }
  return out;
}

}  // namespace tern
