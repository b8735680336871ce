#include "cli/bench_serve_options.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/options.h"
#include "core/error.h"
#include "core/limits.h"

namespace tern {
namespace {

constexpr std::array kMetricNames{"ttft", "tpot", "itl", "e2el", "client_queue_time"};
constexpr std::array kGoodputNames{"ttft", "tpot", "e2el"};

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> out;
  std::stringstream items(list);
  for (std::string item; std::getline(items, item, ',');) out.push_back(item);
  return out;
}

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// CLI11's own check for this leaves infinity out.
std::string positive(const std::string& text) {
  const auto value = number(text);
  return value && *value > 0 ? "" : "\"" + printable(text) + "\" is neither a number over 0 nor inf";
}

template <typename Names>
bool known(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void add_requests(CLI::App& app, BenchServeOptions& o) {
  const CLI::Range length(int64_t{1}, static_cast<int64_t>(Limits::kContext));
  app.add_option("--num-prompts", o.num_prompts, "Requests in all (default: 1000, or the lines of the file)")
      ->check(CLI::Range(1, 10'000'000));
  app.add_option("--random-input-len,--input-len", o.input_len, "Tokens of a prompt")->check(length);
  app.add_option("--random-output-len,--output-len", o.output_len, "Tokens of an answer at most")->check(length);
  app.add_option("--random-range-ratio", o.range_ratio, "Lengths vary by this share up and down")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--input-lengths", o.input_lengths,
                 "Instead: N, uniform:A:B, loguniform:A:B, lognormal:MEDIAN:SIGMA:MOST, or file:PATH with a line "
                 R"({"in": 200, "out": 100, "at": 1.5} a request; "at" may be left out)");
  app.add_option("--output-lengths", o.output_lengths, "The same for answers, but for file:");
  app.add_option("--random-prefix-len", o.prefix_len, "Tokens that prompts begin with alike, before their own")
      ->check(CLI::Range(int64_t{0}, static_cast<int64_t>(Limits::kContext)));
  app.add_option("--random-num-prefixes", o.prefixes, "Different such prefixes, in turn")
      ->check(CLI::Range(1, 10'000'000));
  app.add_option("--conversations", o.conversations,
                 "The requests are turns of so many conversations: each repeats what was said before")
      ->check(CLI::Range(0, 10'000'000));
  app.add_option("--num-warmups", o.warmups, "Requests of the same kind before, which do not count")
      ->check(CLI::Range(0, 100'000));
  app.add_flag("--ignore-eos", o.ignore_eos, "Answers have their full length");
  app.add_option("--temperature", o.temperature, "Default: the server's");
  app.add_option("--extra-body", o.extra_body, "JSON object to add to every request");
}

void add_results(CLI::App& app, BenchServeOptions& o) {
  app.add_option("--goodput", o.goodput, "Count requests within ttft:MS, tpot:MS, e2el:MS");
  app.add_option("--percentile-metrics", o.metrics, "Of ttft, tpot, itl, e2el, client_queue_time");
  app.add_option("--metric-percentiles", o.percentiles, "E.g. 50,90,99");
  app.add_flag("--json", o.json, "Print one JSON object instead");
  app.add_flag("--save-result", o.save_result, "Write the JSON object into a file");
  app.add_flag("--save-detailed", o.save_detailed, "With every request's numbers");
  app.add_option("--result-dir", o.result_dir, "Where to write it");
  app.add_option("--result-filename", o.result_filename, "Its name");
  app.add_option("--label", o.label, "To be saved with it");
}

}  // namespace

void BenchServeOptions::add(CLI::App& app) {
  app.add_option("--base-url", base_url, "http://HOST:PORT of the server, instead of --host and --port");
  app.add_option("--host", host, "Its address");
  app.add_option("--port", port, "Its port")->check(CLI::Range(1, 65535));
  app.add_option("--endpoint", endpoint, "/v1/completions or /v1/chat/completions");
  app.add_option("-m,--model", model, "What requests call the model (default: the server's first)");
  app.add_option("--api-key", api_key, "Key to send")->envname("TERN_API_KEY");
  app.add_option("--ready-check-timeout-sec", ready_timeout_s, "How long to wait for the server")
      ->check(CLI::Range(0.0, 86400.0));
  app.add_option("--request-timeout", silence_s, "Seconds without a byte, after which a request has failed")
      ->check(CLI::Range(0.001, 86400.0));
  add_requests(app, *this);
  app.add_option("--request-rate", request_rate, "Requests a second; inf: all at once")->check(positive);
  app.add_option("--burstiness", burstiness, "1: Poisson; less: in bursts; more, up to inf: evenly")->check(positive);
  app.add_option("--max-concurrency", max_concurrency, "Requests under way at most")->check(CLI::Range(1, 65536));
  app.add_option("--seed", seed, "Of lengths, words and times");
  add_results(app, *this);
}

LoadTarget BenchServeOptions::target() const {
  LoadTarget out;
  out.address.host = host;
  out.address.port = port;
  if (!base_url.empty()) out.address = HttpAddress::parse(base_url);
  // Clients are often told .../v1 for a base.
  if (const size_t v1 = out.address.prefix.rfind("/v1");
      v1 != std::string::npos && v1 + 3 == out.address.prefix.size() && endpoint.rfind("/v1/", 0) == 0) {
    out.address.prefix.resize(v1);
  }
  if (endpoint.empty() || endpoint.front() != '/')
    bad_input("[bench] --endpoint \"" + printable(endpoint) + "\" is no path");
  out.style = {.endpoint = endpoint, .model = model, .api_key = api_key, .ignore_eos = ignore_eos};
  out.style.temperature = temperature;
  if (!extra_body.empty()) {
    out.style.extra_body = nlohmann::json::parse(extra_body, nullptr, false);
    if (!out.style.extra_body.is_object()) bad_input("[bench] --extra-body is no JSON object");
  }
  out.silence = std::chrono::milliseconds(std::llround(silence_s * 1e3));
  out.max_concurrency = max_concurrency;
  return out;
}

PlanOptions BenchServeOptions::plan() const {
  PlanOptions out;
  out.num_prompts = num_prompts;
  out.input = LengthDistribution::around(input_len, range_ratio);
  out.output = LengthDistribution::around(output_len, range_ratio);
  constexpr std::string_view kFile = "file:";
  if (input_lengths.rfind(kFile, 0) == 0) {
    const std::string path = input_lengths.substr(kFile.size());
    out.trace = parse_trace(read_file(path), path);
    if (out.trace.front().at_s && std::isfinite(request_rate)) {
      bad_input("[bench] --request-rate, but the file says when requests come");
    }
  } else if (!input_lengths.empty()) {
    out.input = LengthDistribution::parse(input_lengths, "--input-lengths");
  }
  if (!output_lengths.empty()) out.output = LengthDistribution::parse(output_lengths, "--output-lengths");
  out.prefixes = prefixes;
  out.conversations = conversations;
  out.request_rate = request_rate;
  out.burstiness = burstiness;
  out.seed = seed;
  return out;
}

ReportOptions BenchServeOptions::report() const {
  ReportOptions out;
  out.metrics = parse_metrics(metrics);
  out.percentiles = parse_percentiles(percentiles);
  out.goodput_ms = parse_goodput(goodput);
  out.request_rate = request_rate;
  out.burstiness = burstiness;
  out.max_concurrency = max_concurrency;
  out.backend = endpoint.find("chat") == std::string::npos ? "openai" : "openai-chat";
  out.label = label;
  out.model = model;
  out.detailed = save_detailed;
  return out;
}

std::map<std::string, double> parse_goodput(const std::vector<std::string>& pairs) {
  std::map<std::string, double> out;
  for (const std::string& pair : pairs) {
    const size_t colon = std::min(pair.find(':'), pair.size());
    const std::string name = pair.substr(0, colon);
    const auto limit = number(std::string_view(pair).substr(std::min(colon + 1, pair.size())));
    if (!known(kGoodputNames, name) || !limit || !(*limit >= 0)) {
      bad_input("[bench] --goodput \"" + printable(pair) + "\" is not ttft:MS, tpot:MS or e2el:MS");
    }
    out[name] = *limit;
  }
  return out;
}

std::vector<std::string> parse_metrics(const std::string& list) {
  std::vector<std::string> out = split(list);
  for (const std::string& name : out) {
    if (!known(kMetricNames, name)) {
      bad_input("[bench] --percentile-metrics \"" + printable(name) +
                "\" is not one of ttft, tpot, itl, e2el, client_queue_time");
    }
  }
  return out;
}

std::vector<double> parse_percentiles(const std::string& list) {
  std::vector<double> out;
  for (const std::string& item : split(list)) {
    const auto value = number(item);
    if (!value || !(*value >= 0 && *value <= 100)) {
      bad_input("[bench] --metric-percentiles \"" + printable(item) + "\" is not a number in 0..100");
    }
    out.push_back(*value);
  }
  return out;
}

}  // namespace tern
