#include "cli/options.h"

#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>

#include "core/error.h"
#include "core/limits.h"
#include "quant/kv_format.h"

namespace tern {
namespace {

constexpr int64_t kGpuBlockTokens = 64;      // what tensor copies of Hopper's attention take at once
constexpr int64_t kGpuBatchedTokens = 2048;  // enough for products to be bound by arithmetic

float sampling_default(const Metadata& metadata, const char* key, float fallback) {
  return static_cast<float>(metadata.number_or(std::string("generation_config.") + key, fallback));
}

uint64_t random_seed() {
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 32 | device()) >> 11;  // 53 bits: exact in any JSON reader
}

std::optional<Format> kv_format_of(const std::string& name) {
  if (name == "auto") return std::nullopt;
  const KvFormatInfo* info = find_kv_format(name);
  if (info == nullptr)
    bad_input("[options] --kv-cache-dtype \"" + printable(name) + "\" is unknown; known: auto, " + kv_format_names());
  return info->format;
}

PackCacheOptions pack_cache_options(const std::string& max_bytes) {
  PackCacheOptions options;
  if (const std::filesystem::path folder = find_cache_folder(); !folder.empty()) options.folder = folder / "packed";
  if (!max_bytes.empty()) options.max_bytes = static_cast<uint64_t>(parse_count(max_bytes, "--pack-cache-bytes"));
  options.warn = [](const std::string& text) { std::fprintf(stderr, "tern: warning: %s\n", text.c_str()); };
  return options;
}

}  // namespace

int64_t parse_count(const std::string& text, const std::string& flag) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string suffix(end, text.data() + text.size());
  int shift = -1;
  if (suffix.empty()) shift = 0;
  if (suffix == "k" || suffix == "K") shift = 10;
  if (suffix == "m" || suffix == "M") shift = 20;
  if (suffix == "g" || suffix == "G") shift = 30;
  if (error != std::errc() || shift < 0 || value < 0 || value > (INT64_MAX >> shift)) {
    bad_input("[options] " + flag + " \"" + printable(text) + "\" is not a count such as 4096, 32k or 2g");
  }
  return value << shift;
}

std::string read_file(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) bad_input("[file] " + printable(path) + " is a folder");
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file) bad_input("[file] " + printable(path) + " cannot be read");
  return text;
}

void ModelOptions::add_model(CLI::App& app, bool required) {
  app.add_option(
         "MODEL,-m,--model", model,
         "Path of a GGUF file or Hugging Face folder, an alias, or synth:CONFIG[:TYPE[:SEED]] (tern synth --help)")
      ->required(required);
  app.add_option("--manifest", manifest, "JSON file with more aliases");
}

void ModelOptions::add_device(CLI::App& app) {
  app.add_option("--device", device, "auto, cpu, cuda or cuda:N; auto: the first GPU where there is one");
  app.add_option("--gpu-memory-utilization", gpu_memory_share, "Share of a GPU's memory that may be used")
      ->check(CLI::Range(0.05, 1.0));
  app.add_option(
      "--gpu-layers,--n-gpu-layers", gpu_layers,
      "Layers on the GPU: a number, which is of the last ones, all, or auto, as many as its memory takes; the "
      "others run on the CPU");
  app.add_flag("--cuda-graphs,!--no-cuda-graphs,!--enforce-eager", gpu_graphs,
               "Capture decoding steps once and replay them; default: on");
  app.add_flag("--cuda-fusions,!--no-cuda-fusions", gpu_fusions,
               "Products of up to 16 tokens do the norms, rotations and activations around them; default: on");
  app.add_flag(
      "--deterministic", deterministic,
      "The same request gets the same tokens alone and among others, on a GPU too (slower; always so on a CPU)");
  static const std::map<std::string, GpuQuantization> kQuantizations = {
      {"auto", GpuQuantization::kAuto}, {"none", GpuQuantization::kNone}, {"fp8", GpuQuantization::kFp8}};
  app.add_option("-q,--quantization", gpu_quantization,
                 "Weights on a GPU: auto (q4_0 and q4_k as they are, else bf16), none (bf16) or fp8 (made from any)")
      ->transform(CLI::CheckedTransformer(kQuantizations, CLI::ignore_case));
}

void ModelOptions::add_inference(CLI::App& app) {
  app.add_flag("--autodeploy,!--no-autodeploy", autodeploy,
               "Infer models of unknown architectures from their metadata and tensors; default: on");
  std::string facts;
  for (const TellableFact& fact : kTellable) {
    facts += (facts.empty() ? "" : "; ") + std::string(fact.name) + "=" + std::string(fact.values);
  }
  app.add_option("--assume", assumed, "What inference cannot know (repeatable): " + facts)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

ToldFacts ModelOptions::told() const {
  ToldFacts facts;
  for (const std::string& text : assumed) {
    const size_t at = text.find('=');
    if (at == std::string::npos) bad_input("[options] --assume \"" + printable(text) + "\" is not FACT=VALUE");
    facts[text.substr(0, at)] = text.substr(at + 1);
  }
  return facts;
}

InferModel ModelOptions::infer() const {
  if (!autodeploy) return {};
  return [told = told()](const std::shared_ptr<const Checkpoint>& checkpoint) {
    Inference inference = infer_model(*checkpoint, told);
    std::fprintf(stderr, "tern: no architecture is known for this model; inferred:\n%s", to_string(inference).c_str());
    if (!inference.sure()) refuse(inference);
    return InferredModel{std::move(inference.checkpoint), std::move(inference.config)};
  };
}

void ModelOptions::add_load(CLI::App& app) {
  add_device(app);
  add_inference(app);
  app.add_option("-t,--threads", threads, "Worker threads; 0: all CPUs granted")->check(CLI::Range(0, 1024));
  app.add_option("--threads-batch", threads_batch, "The same; one pool serves both, of the larger count")
      ->check(CLI::Range(0, 1024));
  app.add_option("-c,--max-model-len,--ctx-size", max_model_len,
                 "Longest prompt and answer together, e.g. 4096 or 32k; 0: the model's own; default: at most 8192");
  app.add_option("--kv-cache-memory-bytes", kv_cache_bytes, "Size of the KV pool, e.g. 512m");
  app.add_option("--kv-cache-dtype,--cache-type-k,--cache-type-v", kv_cache_dtype,
                 "auto, f32, f16, bf16 or int8 (q8_0)")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("-b,--max-num-batched-tokens", max_batched_tokens, "Tokens a step at most")
      ->check(CLI::Range(1, 1 << 20))
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("--max-num-seqs", max_sequences, "Sequences running at once")->check(CLI::Range(1, 1024));
  app.add_option("--block-size", block_tokens,
                 "Tokens of a KV block: 16, 32, 64 to 512; default: 16, more where it has a large state")
      ->check(CLI::IsMember({16, 32, 64, 128, 256, 512}));
  app.add_flag("--enable-prefix-caching,!--no-enable-prefix-caching", prefix_caching,
               "Keep what prompts begin with, for others that begin the same; default: on");
  app.add_option("--scheduling-policy", policy,
                 "continuous: sequences join and leave at every step; static: one batch after the other, to compare")
      ->check(CLI::IsMember({"continuous", "static"}));
  app.add_option("--max-step-ms", max_step_ms,
                 "Predicted time of a step beyond which no more of a prompt joins; 0: any")
      ->check(CLI::Range(0, 1 << 20));
  app.add_flag("--pack-cache,!--no-pack-cache", pack_cache,
               "Keep packed weights in the cache folder, so that the next start need not pack them; default: on");
  app.add_option("--pack-cache-bytes", pack_cache_bytes, "Size of all that is kept so, e.g. 4g; default: 20g");
  app.add_option("--chat-template", chat_template_file, "File with a Jinja template that replaces the model's");
}

std::string ModelOptions::path(PullMode mode) const {
  Manifest known = Manifest::shipped();
  if (!manifest.empty()) known.add(Manifest::read(manifest));
  return resolve_model(model, known, mode);
}

// 0 is no GPU at all.
int64_t ModelOptions::parsed_gpu_layers() const {
  if (gpu_layers == "all") return kAllLayers;
  return gpu_layers == "auto" ? kAutoLayers : parse_count(gpu_layers, "--gpu-layers");
}

LoadOptions ModelOptions::load_options(int64_t sequences) const {
  LoadOptions options;
  options.notice = [](const std::string& line) { std::fprintf(stderr, "tern: %s\n", line.c_str()); };
  options.gpu_layers = parsed_gpu_layers();
  if (options.gpu_layers != 0) options.device = choose_device(device);
  options.gpu_memory_share = gpu_memory_share;
  options.gpu_graphs = gpu_graphs;
  options.gpu_fusions = gpu_fusions;
  options.deterministic = deterministic;
  options.gpu_quantization = gpu_quantization;
  if (options.device.on_gpu()) {
    options.block_tokens = kGpuBlockTokens;
    options.max_batched_tokens = kGpuBatchedTokens;
  }
  options.threads = threads == 0 ? 0 : std::max(threads, threads_batch);
  if (!max_model_len.empty()) {
    const int64_t length = parse_count(max_model_len, "--max-model-len");
    options.max_model_len = length == 0 ? kModelContext : length;
  }
  if (!kv_cache_bytes.empty()) {
    options.kv_cache_bytes = static_cast<uint64_t>(parse_count(kv_cache_bytes, "--kv-cache-memory-bytes"));
    if (options.kv_cache_bytes == 0) bad_input("[options] --kv-cache-memory-bytes must be at least one block");
  }
  options.kv_format = kv_format_of(kv_cache_dtype);
  if (pack_cache) options.pack_cache = pack_cache_options(pack_cache_bytes);
  if (max_batched_tokens > 0) options.max_batched_tokens = max_batched_tokens;
  options.max_sequences = max_sequences > 0 ? max_sequences : sequences;
  if (block_tokens > 0) options.block_tokens = block_tokens;
  options.max_step_ms = std::max<int64_t>(max_step_ms, 0);
  options.prefix_caching = prefix_caching;
  options.policy = policy == "static" ? SchedulingPolicy::kStatic : SchedulingPolicy::kContinuous;
  if (!chat_template_file.empty()) options.chat_template = read_file(chat_template_file);
  options.infer = infer();
  return options;
}

void SamplingOptions::add(CLI::App& app) {
  app.add_option("--temperature,--temp", temperature, "0: always the most probable token");
  app.add_option("--top-k", top_k, "Only the k most probable; 0: all");
  app.add_option("--top-p", top_p, "Only the most probable that together reach p");
  app.add_option("--min-p", min_p, "Only those at least this times as probable as the first");
  app.add_option("--repetition-penalty,--repeat-penalty", repetition_penalty, "Divides logits of tokens seen; 1: off");
  app.add_option("--presence-penalty", presence_penalty, "Subtracted from logits of tokens in the answer");
  app.add_option("--frequency-penalty", frequency_penalty, "The same, times their number");
  app.add_option("-s,--seed", seed, "Seed of the draws; default: random");
  app.add_flag("--greedy", greedy, "The same as --temperature 0");
  app.add_option("-n,--max-tokens,--predict", max_tokens, "Answer tokens at most; default: what the context leaves")
      ->check(CLI::Range(int64_t{-1}, int64_t{1} << 24));
  app.add_option("--stop", stop, "End the answer before this string (repeatable)")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_flag("--ignore-eos", ignore_eos, "Go on after an end token");
  app.add_option("--logprobs", logprobs, "Report the K most probable tokens at each step")->check(CLI::Range(0, 1024));
}

GenerationParams SamplingOptions::params(const Model& model) const {
  const Metadata& metadata = model.facts().checkpoint->metadata;
  GenerationParams out;
  SamplingParams& s = out.sampling;
  s.temperature = greedy ? 0.0f : temperature.value_or(sampling_default(metadata, "temperature", 0.8f));
  s.top_k = top_k.value_or(static_cast<int32_t>(
      metadata.integer_or("generation_config.top_k", 40, 0, static_cast<int64_t>(Limits::kVocabulary))));
  s.top_p = top_p.value_or(sampling_default(metadata, "top_p", 0.95f));
  s.min_p = min_p.value_or(sampling_default(metadata, "min_p", 0.05f));
  s.repetition_penalty =
      repetition_penalty.value_or(greedy ? 1.0f : sampling_default(metadata, "repetition_penalty", 1.0f));
  s.presence_penalty = presence_penalty.value_or(0.0f);
  s.frequency_penalty = frequency_penalty.value_or(0.0f);
  s.seed = seed ? *seed : random_seed();
  out.max_tokens = std::max<int64_t>(max_tokens, 0);
  out.stop = stop;
  out.ignore_eos = ignore_eos;
  out.logprobs = logprobs;
  validate(out);
  return out;
}

}  // namespace tern
