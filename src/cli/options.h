// Options that several subcommands share, each defined once: the model and how to load it, and how to sample.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "api/session.h"
#include "cli/pull.h"
#include "plan/autodeploy/inference.h"

namespace tern {

// The model argument and everything that loading takes.
struct ModelOptions {
  std::string model;
  std::string manifest;
  std::string device = "auto";
  double gpu_memory_share = 0.9;
  std::string gpu_layers = "all";
  bool gpu_graphs = true;
  bool gpu_fusions = true;
  bool deterministic = false;
  GpuQuantization gpu_quantization = GpuQuantization::kAuto;
  int threads = 0;
  int threads_batch = 0;
  std::string max_model_len;  // "4096", "32k", 0: the model's own; empty: the default
  std::string kv_cache_bytes;
  std::string kv_cache_dtype = "auto";
  int64_t max_batched_tokens = 0;  // 0: the default
  int64_t max_sequences = 0;       // 0: the subcommand's default
  int64_t block_tokens = 0;        // 0: the default
  int64_t max_step_ms = -1;        // -1: the subcommand's default
  bool prefix_caching = true;
  std::string policy = "continuous";
  bool pack_cache = true;
  std::string pack_cache_bytes;
  std::string chat_template_file;
  std::string served_model_name;
  bool autodeploy = true;
  std::vector<std::string> assumed;  // fact=value, what inference is told

  void add_model(CLI::App& app, bool required = true);  // MODEL, --model, --manifest
  void add_device(CLI::App& app);                       // --device and what goes with it
  void add_load(CLI::App& app);                         // that, and everything else
  void add_inference(CLI::App& app);                    // --autodeploy, --assume
  ToldFacts told() const;
  // What answers for unknown architectures and prints on stderr what it inferred; none with --no-autodeploy.
  InferModel infer() const;
  std::string path(PullMode mode) const;
  int64_t parsed_gpu_layers() const;
  // `sequences` is what the subcommand needs at once when --max-num-seqs does not say.
  LoadOptions load_options(int64_t sequences) const;
};

// Sampling flags; what is not given comes from the model's generation_config, else from llama.cpp's defaults.
struct SamplingOptions {
  std::optional<float> temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty;
  std::optional<int32_t> top_k;
  std::optional<uint64_t> seed;
  bool greedy = false;
  int64_t max_tokens = 0;
  std::vector<std::string> stop;
  bool ignore_eos = false;
  int32_t logprobs = -1;

  void add(CLI::App& app);
  GenerationParams params(const Model& model) const;
};

// "32k" -> 32768, "2M", "1g"; throws a bad-input line naming `flag`.
int64_t parse_count(const std::string& text, const std::string& flag);

// A whole text file; throws a bad-input line when it cannot be read.
std::string read_file(const std::string& path);

}  // namespace tern
