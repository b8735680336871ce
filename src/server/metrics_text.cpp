// The table of metrics as text: for Prometheus, and for people.
#include <fmt/core.h>

#include <sstream>

#include "server/metrics.h"

namespace tern {
namespace {

using enum MetricKind;

std::string full_name(const Metric& metric, std::string_view prefix) {
  return fmt::format("{}{}{}", metric.bare ? "" : fmt::format("{}:", prefix), metric.name,
                     metric.kind == kCounter ? "_total" : "");
}

std::string_view name_of(MetricKind kind) {
  return kind == kCounter ? "counter" : kind == kGauge ? "gauge" : "histogram";
}

void write(const Metric& metric, const MetricSources& sources, std::string_view prefix, PrometheusText& text) {
  text.begin_family(full_name(metric, prefix), name_of(metric.kind), metric.help, metric.bare);
  metric.read(sources, text);
}

// The labels of its own that a family's samples have, and a histogram's bounds, read off its text.
std::string details(const std::string& text) {
  std::string labels, bounds;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line[0] == '#') continue;
    std::string_view rest = line;
    for (size_t quote; (quote = rest.find("=\"")) != std::string_view::npos;) {
      const std::string name(
          rest.substr(rest.find_last_of("{,", quote) + 1, quote - rest.find_last_of("{,", quote) - 1));
      const size_t end = rest.find('"', quote + 2);
      if (name == "le") {
        bounds += (bounds.empty() ? "" : ", ") + std::string(rest.substr(quote + 2, end - quote - 2));
      } else if (labels.find('`' + name + '`') == std::string::npos) {
        labels += (labels.empty() ? "`" : ", `") + name + "`";
      }
      rest.remove_prefix(end + 1);
    }
  }
  return bounds.empty() ? labels : "up to " + bounds;
}

}  // namespace

std::string metrics_text(const MetricSources& sources, std::string_view prefix, std::string_view model) {
  PrometheusText text({{"engine", "0"}, {"model_name", model}});
  for (const Metric& metric : metric_table()) write(metric, sources, prefix, text);
  return text.take();
}

std::string metrics_document() {
  std::string out =
      "# Metrics\n\n"
      "`GET /metrics` gives these in Prometheus' text format 0.0.4, with the labels `engine` and `model_name`, and at\n"
      "`process_*` without. `--metrics-prefix vllm` calls them `vllm:...`: names and meanings are vLLM's where it has "
      "the\n"
      "metric, so its dashboards work. This page is made from the table in `src/server/metrics.cpp`, and a test holds "
      "the\n"
      "two together (`TERN_UPDATE_DOCS=1` writes it anew).\n\n"
      "| name | kind | what | labels of its own, or bounds |\n|---|---|---|---|\n";
  ServerCounts server;
  server.http[{"/health", 200}] = 1;
  const EngineStats engine;
  const MetricFacts facts;
  for (const Metric& metric : metric_table()) {
    PrometheusText text({});
    write(metric, {server, engine, facts}, "tern", text);
    out += fmt::format("| `{}` | {} | {} | {} |\n", full_name(metric, "tern"), name_of(metric.kind), metric.help,
                       details(text.take()));
  }
  return out;
}

}  // namespace tern
