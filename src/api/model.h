// A model ready to answer: the file opened, its facts read, the program lowered, weights packed, memory reserved.
//
// load() is slow and throws; everything after is const except the engine, which one thread at a time drives. Tokenizer
// and chat template are shared and thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "api/device_choice.h"
#include "engine/engine.h"
#include "engine/runner/cuda_runner.h"
#include "model/config.h"
#include "model/open_model.h"
#include "model/program.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace tern {

// LoadOptions::max_model_len: the model's own context, however long.
inline constexpr int64_t kModelContext = -1;
// LoadOptions::gpu_layers: all; as many as a GPU's memory takes.
inline constexpr int64_t kAllLayers = -1, kAutoLayers = -2;

// What stands in for a model whose architecture has no row: the checkpoint under the names of roles
// (inferred_name()), and its facts.
struct InferredModel {
  std::shared_ptr<const Checkpoint> checkpoint;
  ModelConfig config;
};
// Throws a bad-input line where it is unsure.
using InferModel = std::function<InferredModel(const std::shared_ptr<const Checkpoint>&)>;

struct LoadOptions {
  DeviceChoice device;
  int threads = 0;              // 0: as many as the process may use
  int64_t max_model_len = 0;    // 0: the smaller of the model's context and 8192
  uint64_t kv_cache_bytes = 0;  // 0: the smaller of a quarter of the memory and max_sequences full sequences
  int64_t max_sequences = 16;
  int64_t max_batched_tokens = 512;
  int64_t max_rows = 0;      // 0: max_sequences
  int64_t block_tokens = 0;  // 0: as default_block_tokens() has them
  int64_t max_step_ms = 0;   // predicted time of a step beyond which no more of a prompt joins; 0: no limit
  bool prefix_caching = true;
  SchedulingPolicy policy = SchedulingPolicy::kContinuous;
  // None: f16; f32 for weights in f32 and on the reference kernels; bf16 on a GPU.
  std::optional<Format> kv_format;
  double gpu_memory_share = 0.9;    // of a GPU's memory, for weights, activations and cache
  int64_t gpu_layers = kAllLayers;  // of a device that is a GPU: the last ones run there, the others on the CPU
  bool gpu_graphs = true;           // decoding steps are captured once and replayed
  bool gpu_fusions = true;          // products of few tokens do what stands around them
  // On a GPU: a token's bits depend on its sequence alone, as they always do on the CPU.
  bool deterministic = false;
  GpuQuantization gpu_quantization = GpuQuantization::kAuto;
  std::string chat_template;  // source that replaces the model's own; empty: the model's
  KernelSelection kernels = KernelSelection::from_environment();
  PackCacheOptions pack_cache;                          // default: packed at every start
  InferModel infer;                                     // asked about unknown architectures; none: they are refused
  std::function<void(const std::string& line)> notice;  // told what of the model is left out; may be none
};

// Of a GGUF file, or of the folder that safetensors lie in. Throws a bad-input line when there is none that tern reads.
std::shared_ptr<const Tokenizer> tokenizer_of(const Checkpoint& checkpoint);

// A model's description without weights being touched: enough for info and tokenize.
struct ModelFacts {
  std::shared_ptr<const Checkpoint> checkpoint;
  ModelConfig config;
  Program source;
  Program lowered;

  // `model` as open_model() takes it.
  static ModelFacts read(const std::string& model, Weights weights = Weights::kUnread, int threads = 0,
                         const InferModel& infer = {});
  // "llama 135M Q4_1": architecture, size class and the commonest weight format, as llama-bench prints it.
  std::string type_name() const;
  Format commonest_format() const;  // by bytes
  uint64_t parameters() const;
  std::shared_ptr<const Tokenizer> tokenizer() const;  // throws when the file has none that tern reads
};

class Model {
 public:
  // `name`: a file, a folder, or the name of a synthetic model.
  static std::unique_ptr<Model> load(const std::string& name, const LoadOptions& options);

  const ModelFacts& facts() const { return facts_; }
  const ModelConfig& config() const { return facts_.config; }
  // Null when the file holds no tokenizer: such a model answers token ids only.
  const std::shared_ptr<const Tokenizer>& tokenizer() const { return tokenizer_; }
  // Throws a bad-input line when the model has no chat template.
  const ChatTemplate& chat_template() const;
  bool has_chat_template() const { return chat_template_ != nullptr; }

  Engine& engine() { return *engine_; }
  const Engine& engine() const { return *engine_; }
  Runner& runner() { return *runner_; }
  const Runner& runner() const { return *runner_; }
  const LoadOptions& options() const { return options_; }  // with the defaults filled in
  int64_t load_ms() const { return load_ms_; }
  // The counter of the device's energy, or why there is none (PowerMeter::description()).
  const std::string& energy_source() const { return energy_source_; }

 private:
  Model() = default;
  ModelFacts facts_;
  LoadOptions options_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::unique_ptr<ChatTemplate> chat_template_;
  std::unique_ptr<Engine> engine_;
  Runner* runner_ = nullptr;
  int64_t load_ms_ = 0;
  std::string energy_source_;
};

}  // namespace tern
