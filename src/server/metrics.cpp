#include "server/metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <fstream>

#include "quant/kv_format.h"
#include "server/log.h"
#include "server/request_record.h"
#include "server/server_options.h"

namespace tern {
namespace {

using From = const MetricSources&;
using To = PrometheusText&;
using enum MetricKind;

// Bounds of EngineStats::steps_by_tokens.
constexpr auto kStepBounds = [] {
  std::array<double, EngineStats::kStepBuckets - 1> bounds{};
  for (size_t i = 0; i < bounds.size(); ++i) bounds[i] = static_cast<double>(1 << i);
  return bounds;
}();

void write_finished(From from, To to) {
  for (size_t reason = 1; reason < ServerCounts::kReasons; ++reason) {
    to.sample(static_cast<double>(from.server.finished[reason]),
              {{"finished_reason", finish_label(static_cast<FinishReason>(reason))}});
  }
}

void write_http(From from, To to) {
  for (const auto& [key, count] : from.server.http) {
    const std::string status = std::to_string(key.second);
    to.sample(static_cast<double>(count), {{"route", key.first.empty() ? "unknown" : key.first}, {"status", status}});
  }
}

void write_config(From from, To to) {
  const MetricFacts& facts = from.facts;
  const std::string block = std::to_string(facts.block_tokens), blocks = std::to_string(from.engine.kv_blocks);
  const std::string length = std::to_string(facts.max_model_len), sequences = std::to_string(facts.max_sequences);
  const std::string batched = std::to_string(facts.max_batched_tokens);
  to.sample(1, {{"block_size", block},
                {"num_gpu_blocks", blocks},
                {"cache_dtype", facts.kv_dtype},
                {"max_model_len", length},
                {"max_num_seqs", sequences},
                {"max_num_batched_tokens", batched}});
}

double kv_usage(const EngineStats& engine) {
  return engine.kv_blocks == 0 ? 0 : 1 - static_cast<double>(engine.kv_blocks_free) / engine.kv_blocks;
}

// A row whose value is `expression` of the sources `from`.
#define TERN_VALUE(expression) [](From from, To to) { to.sample(static_cast<double>(from.expression)); }
#define TERN_HISTOGRAM(member) [](From from, To to) { to.histogram(from.server.member); }

void write_energy(To to, double prompts, double answers) {
  to.sample(prompts, {{"phase", "prompt"}});
  to.sample(answers, {{"phase", "answer"}});
}

constexpr std::array kMetrics{
    Metric{"num_requests_running", kGauge, "Sequences that the engine computes", TERN_VALUE(engine.running)},
    Metric{"num_requests_waiting", kGauge, "Requests that wait for the engine", TERN_VALUE(engine.waiting)},
    Metric{"kv_cache_usage_perc", kGauge, "Share of the KV blocks that sequences hold, 0 to 1",
           [](From from, To to) { to.sample(kv_usage(from.engine)); }},
    Metric{"kv_waste_ratio", kGauge, "Share of the room in the held KV blocks that holds no token",
           TERN_VALUE(engine.kv_waste_ratio)},
    Metric{"kv_blocks", kGauge, "KV blocks in all", TERN_VALUE(engine.kv_blocks)},
    Metric{"kv_blocks_free", kGauge, "KV blocks that no sequence holds, cached ones included",
           TERN_VALUE(engine.kv_blocks_free)},
    Metric{"kv_blocks_cached", kGauge, "Of these, blocks that a later prompt may find by its tokens",
           TERN_VALUE(engine.kv_blocks_cached)},
    Metric{"cache_config_info", kGauge, "How the KV cache is set up; always 1", write_config},
    Metric{"prompt_tokens", kCounter, "Tokens of prompts, computed or found in the cache",
           TERN_VALUE(engine.prompt_tokens)},
    Metric{"energy_joules", kCounter, "Energy of the device while it computed, see `energy_source_info`",
           [](From from, To to) {
             write_energy(to, from.engine.energy.prompts.joules, from.engine.energy.answers.joules);
           }},
    Metric{"energy_tokens", kCounter, "Tokens computed for that energy",
           [](From from, To to) {
             write_energy(to, static_cast<double>(from.engine.energy.prompts.tokens),
                          static_cast<double>(from.engine.energy.answers.tokens));
           }},
    Metric{"energy_source_info", kGauge, "The energy counter, or why there is none; always 1",
           [](From from, To to) { to.sample(1, {{"source", from.facts.energy_source}}); }},
    Metric{"prompt_tokens_cached", kCounter, "Tokens of prompts found in the prefix cache",
           TERN_VALUE(engine.prompt_tokens_cached)},
    Metric{"generation_tokens", kCounter, "Tokens of answers", TERN_VALUE(engine.answer_tokens)},
    Metric{"num_preemptions", kCounter, "Sequences that gave up their KV blocks for others",
           TERN_VALUE(engine.preemptions)},
    Metric{"prefix_cache_queries", kCounter, "Tokens looked up in the prefix cache",
           TERN_VALUE(engine.prefix_cache_queries)},
    Metric{"prefix_cache_hits", kCounter, "Tokens found in the prefix cache", TERN_VALUE(engine.prefix_cache_hits)},
    Metric{"iteration_tokens_total", kHistogram, "Tokens that a step of the engine computed",
           [](From from, To to) {
             to.histogram(kStepBounds, from.engine.steps_by_tokens, static_cast<double>(from.engine.step_tokens));
           }},
    Metric{"engine_steps", kCounter, "Steps of the engine", TERN_VALUE(engine.steps)},
    Metric{"engine_runner_seconds", kCounter, "Time of steps inside the runner", TERN_VALUE(engine.runner_ns / 1e9)},
    Metric{"engine_sampler_seconds", kCounter, "Time of steps inside the sampler", TERN_VALUE(engine.sampler_ns / 1e9)},
    Metric{"engine_host_seconds", kCounter, "Time of steps outside both: scheduling, batches, commits",
           TERN_VALUE(engine.host_ns / 1e9)},
    Metric{"request_success", kCounter, "Choices that ended, by reason", write_finished},
    Metric{"time_to_first_token_seconds", kHistogram, "From the request's header to a choice's first token",
           TERN_HISTOGRAM(time_to_first_token)},
    Metric{"inter_token_latency_seconds", kHistogram, "From one token of a choice to its next",
           TERN_HISTOGRAM(inter_token_latency)},
    Metric{"request_time_per_output_token_seconds", kHistogram, "Decode time of a choice by its tokens after the first",
           TERN_HISTOGRAM(time_per_output_token)},
    Metric{"e2e_request_latency_seconds", kHistogram, "From the request's header to a choice's last token",
           TERN_HISTOGRAM(e2e_latency)},
    Metric{"request_queue_time_seconds", kHistogram, "From the submission until the engine first computes a choice",
           TERN_HISTOGRAM(queue_time)},
    Metric{"request_prefill_time_seconds", kHistogram, "From then to the choice's first token",
           TERN_HISTOGRAM(prefill_time)},
    Metric{"request_decode_time_seconds", kHistogram, "From the first token to the last", TERN_HISTOGRAM(decode_time)},
    Metric{"request_inference_time_seconds", kHistogram, "Prefill and decode together", TERN_HISTOGRAM(inference_time)},
    Metric{"request_prompt_tokens", kHistogram, "Tokens of a choice's prompt", TERN_HISTOGRAM(prompt_tokens)},
    Metric{"request_generation_tokens", kHistogram, "Tokens of a choice's answer", TERN_HISTOGRAM(generation_tokens)},
    Metric{"request_max_num_generation_tokens", kHistogram, "The longest answer of a request's choices",
           TERN_HISTOGRAM(max_generation_tokens)},
    Metric{"request_params_n", kHistogram, "Choices that a request asks for", TERN_HISTOGRAM(params_n)},
    Metric{"request_params_max_tokens", kHistogram, "The max_tokens that a request names",
           TERN_HISTOGRAM(params_max_tokens)},
    Metric{"request_num_preemptions", kHistogram, "How often a choice gave up its KV blocks",
           TERN_HISTOGRAM(preemptions)},
    Metric{"weights_bytes", kGauge, "Memory of the model's weights", TERN_VALUE(facts.weights_bytes)},
    Metric{"kv_bytes", kGauge, "Memory of the KV pool", TERN_VALUE(facts.kv_bytes)},
    Metric{"http_requests", kCounter, "HTTP requests by route and status; 499: the client left before an answer",
           write_http},
    Metric{"http_connections", kGauge, "Open connections", TERN_VALUE(server.connections)},
    Metric{"http_connections_refused", kCounter, "Connections turned away because there were too many",
           TERN_VALUE(server.connections_refused)},
    Metric{"http_answers_running", kGauge, "Answers that are being written", TERN_VALUE(server.streams)},
    Metric{"log_lines_dropped", kCounter, "Log lines lost because nobody read them",
           [](From, To to) { to.sample(static_cast<double>(log_lines_dropped())); }},
    Metric{"process_resident_memory_bytes", kGauge, "Resident memory", TERN_VALUE(facts.resident_bytes), true},
    Metric{"process_open_fds", kGauge, "Open file descriptors", TERN_VALUE(facts.open_files), true},
    Metric{"process_threads", kGauge, "Threads", TERN_VALUE(facts.threads), true},
    Metric{"process_cpu_seconds", kCounter, "Processor time of user and system", TERN_VALUE(facts.cpu_seconds), true},
    Metric{"process_start_time_seconds", kGauge, "Start, in seconds since 1970", TERN_VALUE(facts.start_time_seconds),
           true},
};

#undef TERN_VALUE
#undef TERN_HISTOGRAM

uint64_t entries(const char* folder) {
  uint64_t count = 0;
  DIR* directory = ::opendir(folder);
  if (directory == nullptr) return 0;
  while (const dirent* entry = ::readdir(directory)) count += entry->d_name[0] != '.' ? 1 : 0;
  ::closedir(directory);
  return count;
}

MetricFacts facts_of(const Backend& backend) {
  const Model& model = backend.model;
  const MemoryReport memory = model.engine().runner().memory();
  MetricFacts facts{.block_tokens = model.options().block_tokens,
                    .max_model_len = backend.service.context_tokens(),
                    .max_sequences = model.options().max_sequences,
                    .max_batched_tokens = model.options().max_batched_tokens,
                    .kv_dtype = std::string(tern::kv_name_of(*model.options().kv_format)),
                    .energy_source = model.energy_source(),
                    .weights_bytes = memory.packed_weights + memory.mapped_weights,
                    .kv_bytes = memory.kv_pool,
                    .open_files = entries("/proc/self/fd"),
                    .threads = entries("/proc/self/task"),
                    .start_time_seconds = static_cast<double>(backend.created)};
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  facts.resident_bytes = pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  facts.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  return facts;
}

}  // namespace

std::span<const Metric> metric_table() { return kMetrics; }

Outcome metrics(const Backend& backend, const HttpRequest&) {
  const EngineStats engine = backend.service.stats();
  const MetricFacts facts = facts_of(backend);
  return HttpReply{
      .body = metrics_text({*backend.counts, engine, facts}, backend.options->metrics_prefix, backend.names.front()),
      .content_type = "text/plain; version=0.0.4; charset=utf-8"};
}

}  // namespace tern
