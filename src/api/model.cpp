#include "api/model.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <future>
#include <map>
#include <system_error>
#include <tuple>
#include <utility>

#include "api/model_runner.h"
#include "core/error.h"
#include "core/host_memory.h"
#include "model/archs/arch.h"
#include "model/blocks/transformer.h"
#include "model/passes/passes.h"
#include "model/weights.h"
#include "quant/kv_fp8.h"
#include "text/hf/folder.h"

namespace tern {
namespace {

constexpr int64_t kDefaultContext = 8192;

void fill_defaults(LoadOptions& options, const ModelFacts& facts) {
  if (options.max_model_len == 0) options.max_model_len = std::min(facts.config.context, kDefaultContext);
  if (options.max_model_len == kModelContext) options.max_model_len = facts.config.context;
  if (options.max_model_len > facts.config.context) {
    bad_input(fmt::format("[options] --max-model-len {} exceeds the model's context of {}", options.max_model_len,
                          facts.config.context));
  }
  if (options.max_rows == 0) options.max_rows = options.max_sequences;
  options.max_batched_tokens = std::max(options.max_batched_tokens, int64_t{1});
  if (options.device.on_gpu()) {
    options.kv_format = options.kv_format.value_or(Format::kBF16);
    if (*options.kv_format != Format::kBF16 && *options.kv_format != kKvFp8)
      bad_input("[options] --kv-cache-dtype: a cache on a GPU is bf16 or fp8");
  } else if (options.kv_format == kKvFp8) {
    bad_input("[options] --kv-cache-dtype: a cache on a CPU is f32, f16, bf16 or int8");
  }
  if (!options.kv_format) {
    const bool f32 = options.kernels.ref_everywhere() || facts.commonest_format() == Format::kF32;
    options.kv_format = f32 ? Format::kF32 : Format::kF16;
  }
  if (options.block_tokens == 0) options.block_tokens = default_block_tokens(facts.lowered, *options.kv_format);
}

std::string token_text(const Tokenizer& tokenizer, std::optional<int32_t> id) {
  return id ? tokenizer.token_bytes(*id) : std::string();
}

// Of Hugging Face's files, which lie in a folder; synthetic models bring their tokenizer along.
bool is_folder(const Checkpoint& checkpoint) {
  return checkpoint.kind == CheckpointKind::kHuggingFace && !checkpoint.metadata.has("tokenizer.ggml.model");
}

// The folder that a checkpoint of Hugging Face's files lies in.
std::string folder_of(const Checkpoint& checkpoint) {
  std::error_code ignored;
  const std::filesystem::path path(checkpoint.path);
  if (std::filesystem::is_directory(path, ignored)) return checkpoint.path;
  return path.has_parent_path() ? path.parent_path().string() : ".";
}

// Tokenizer and the source of the chat template, as far as the model has them.
hf::FolderText stored_text(const Checkpoint& checkpoint) {
  const Metadata& metadata = checkpoint.metadata;
  if (is_folder(checkpoint)) {
    const std::string folder = folder_of(checkpoint);
    return hf::has_tokenizer(folder) ? hf::read_folder_text(folder, metadata) : hf::FolderText{};
  }
  if (!metadata.has("tokenizer.ggml.model")) return {};
  return {Tokenizer::from_metadata(metadata), std::string(metadata.string_or("tokenizer.chat_template", ""))};
}

using Text = std::pair<std::shared_ptr<const Tokenizer>, std::unique_ptr<ChatTemplate>>;

Text read_text(const ModelFacts& facts, const LoadOptions& options) {
  hf::FolderText stored = stored_text(*facts.checkpoint);
  Text text{std::move(stored.tokenizer), nullptr};
  const std::string& source = options.chat_template.empty() ? stored.chat_template : options.chat_template;
  if (text.first != nullptr && !source.empty()) {
    const Tokenizer& tokenizer = *text.first;
    text.second = std::make_unique<ChatTemplate>(source, token_text(tokenizer, tokenizer.bos()),
                                                 token_text(tokenizer, tokenizer.eos()));
  }
  return text;
}

}  // namespace

std::shared_ptr<const Tokenizer> tokenizer_of(const Checkpoint& checkpoint) {
  if (is_folder(checkpoint)) {
    return hf::read_folder_text(folder_of(checkpoint), checkpoint.metadata).tokenizer;
  }
  return Tokenizer::from_metadata(checkpoint.metadata);
}

ModelFacts ModelFacts::read(const std::string& model, Weights weights, int threads, const InferModel& infer) {
  ModelFacts facts;
  facts.checkpoint = open_model(model, weights, threads);
  if (infer && find_arch(*facts.checkpoint) == nullptr) {
    InferredModel inferred = infer(facts.checkpoint);
    facts.checkpoint = std::move(inferred.checkpoint);
    facts.config = std::move(inferred.config);
    facts.source = decoder(facts.config);
  } else {
    facts.config = model_config(*facts.checkpoint);
    facts.source = arch_of(*facts.checkpoint).program(facts.config);
  }
  facts.lowered = lower(facts.source, PassSelection::from_environment());
  WeightMap(*facts.checkpoint).check(facts.lowered);
  return facts;
}

uint64_t ModelFacts::parameters() const {
  uint64_t count = 0;
  for (const TensorInfo& tensor : checkpoint->tensors) count += static_cast<uint64_t>(tensor.elements());
  return count;
}

Format ModelFacts::commonest_format() const {
  std::map<Format, uint64_t> bytes;
  for (const TensorInfo& tensor : checkpoint->tensors) bytes[tensor.format] += tensor.data.size();
  const auto most = std::max_element(bytes.begin(), bytes.end(), [](auto& a, auto& b) { return a.second < b.second; });
  return most == bytes.end() ? Format::kF32 : most->first;
}

std::string ModelFacts::type_name() const {
  const auto millions = static_cast<double>(parameters()) / 1e6;
  const std::string size = millions < 1000 ? fmt::format("{:.0f}M", millions) : fmt::format("{:.1f}B", millions / 1000);
  std::string format(name_of(commonest_format()));
  std::transform(format.begin(), format.end(), format.begin(), [](unsigned char c) { return std::toupper(c); });
  return fmt::format("{} {} {}", config.architecture, size, format);
}

std::shared_ptr<const Tokenizer> ModelFacts::tokenizer() const { return tokenizer_of(*checkpoint); }

std::unique_ptr<Model> Model::load(const std::string& name, const LoadOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  std::unique_ptr<Model> model(new Model);
  model->facts_ = ModelFacts::read(name, Weights::kReady, options.threads, options.infer);
  const Checkpoint& files = *model->facts_.checkpoint;
  if (options.notice && !files.left_out.empty()) options.notice(files.metadata.source() + ": " + files.left_out);
  if (!model->facts_.config.causal) {
    bad_input(model->facts_.checkpoint->metadata.source() + ": is an encoder, which makes vectors and no text");
  }
  model->options_ = options;
  LoadOptions& o = model->options_;
  fill_defaults(o, model->facts_);
  if (o.device.on_gpu()) model->facts_.lowered = lower_for_gpu(model->facts_.source);
  // Beside the weights, which wait for memory: this takes as long as a copy of them.
  std::future<Text> text = std::async(std::launch::async, [&] {
    Text read = read_text(model->facts_, o);
    model->facts_.checkpoint->release_pages();  // what only this used, before the last of the weights are there
    release_program_pages();
    return read;
  });
  std::unique_ptr<Runner> executable = make_runner(model->facts_, o);
  model->runner_ = executable.get();
  o.threads = executable->threads();
  const auto meter = std::make_shared<PowerMeter>(power_meter(o.device));
  model->energy_source_ = meter->description();
  const EngineOptions engine{.max_model_len = o.max_model_len,
                             .block_tokens = o.block_tokens,
                             .vocabulary = model->facts_.config.vocabulary,
                             .prefix_caching = o.prefix_caching,
                             .model_name = model->facts_.checkpoint->metadata.source(),
                             .scheduler = {.policy = o.policy,
                                           .max_batched_tokens = o.max_batched_tokens,
                                           .max_sequences = o.max_sequences,
                                           .max_step_ns = o.max_step_ms * 1'000'000},
                             .kernels = o.kernels,
                             .energy = [meter] { return meter->joules(); }};
  std::tie(model->tokenizer_, model->chat_template_) = text.get();
  model->engine_ = std::make_unique<Engine>(std::move(executable), engine, std::make_shared<SteadyClock>());
  model->load_ms_ =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start).count();
  return model;
}

const ChatTemplate& Model::chat_template() const {
  if (chat_template_ == nullptr) {
    bad_input(facts_.checkpoint->metadata.source() +
              ": the model has no chat template; pass --raw or --chat-template FILE");
  }
  return *chat_template_;
}

}  // namespace tern
