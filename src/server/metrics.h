// GET /metrics: one table of metrics, which makes the text and docs/metrics.md.
//
// Names after the prefix are vLLM's wherever vLLM has the metric, so that with --metrics-prefix vllm its dashboards,
// autoscalers and routers work unchanged. Reads what the server counted on its thread and a copy of the engine's
// statistics; a scrape costs the streams nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "engine/engine.h"
#include "server/exchange.h"
#include "server/prometheus_text.h"
#include "server/server_counts.h"

namespace tern {

// Of the model and the machine.
struct MetricFacts {
  int64_t block_tokens = 0, max_model_len = 0, max_sequences = 0, max_batched_tokens = 0;
  std::string kv_dtype;
  std::string energy_source;
  uint64_t weights_bytes = 0, kv_bytes = 0;
  uint64_t resident_bytes = 0, open_files = 0, threads = 0;
  double cpu_seconds = 0, start_time_seconds = 0;
};

struct MetricSources {
  const ServerCounts& server;
  const EngineStats& engine;
  const MetricFacts& facts;
};

enum class MetricKind : uint8_t { kCounter, kGauge, kHistogram };

struct Metric {
  std::string_view name;  // without prefix and without a counter's "_total"
  MetricKind kind;
  std::string_view help;
  void (*read)(const MetricSources& from, PrometheusText& to);
  // Of the process, under the names that all Prometheus clients use: no prefix, no labels.
  bool bare = false;
};

std::span<const Metric> metric_table();
std::string metrics_text(const MetricSources& sources, std::string_view prefix, std::string_view model);
std::string metrics_document();

// The route.
Outcome metrics(const Backend& backend, const HttpRequest& request);

}  // namespace tern
