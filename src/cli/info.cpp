// tern info MODEL: what a model is, what it needs, and the program that runs it.
#include <fmt/core.h>

#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "api/model.h"
#include "cli/options.h"
#include "cli/subcommands.h"
#include "core/error.h"
#include "model/archs/arch.h"
#include "model/weights.h"
#include "quant/kv_int8.h"

namespace tern {
namespace {

struct InfoOptions {
  ModelOptions model;
  bool json = false;
  bool program = false;
  bool source = false;
  bool architectures = false;
  bool inference = false;
};

nlohmann::ordered_json facts_json(const ModelFacts& facts) {
  const ModelConfig& c = facts.config;
  std::map<std::string, uint64_t> formats;
  for (const TensorInfo& tensor : facts.checkpoint->tensors)
    formats[std::string(name_of(tensor.format))] += tensor.data.size();
  const WeightMap weights(*facts.checkpoint);
  nlohmann::ordered_json out;
  out["path"] = facts.checkpoint->path;
  out["kind"] = facts.checkpoint->kind == CheckpointKind::kGguf ? "gguf" : "safetensors";
  out["name"] = c.model_name;
  out["architecture"] = c.architecture;
  out["type"] = facts.type_name();
  out["parameters"] = facts.parameters();
  out["weight_bytes"] = facts.checkpoint->tensor_bytes();
  out["weight_bytes_per_token"] = weight_bytes_per_token(facts.lowered, weights);
  out["formats"] = formats;
  if (!facts.checkpoint->notes.empty()) out["quantization"] = facts.checkpoint->notes;
  if (!facts.checkpoint->left_out.empty()) out["left_out"] = facts.checkpoint->left_out;
  out["layers"] = c.layers;
  out["hidden"] = c.hidden;
  out["heads"] = c.heads;
  out["kv_heads"] = c.kv_heads;
  out["head_dim"] = c.head_dim;
  out["ffn"] = c.ffn;
  out["vocabulary"] = c.vocabulary;
  out["context"] = c.context;
  out["rope_theta"] = c.rope.theta;
  out["tied_embeddings"] = c.tied_embeddings;
  const auto kv_bytes = [&](Format format) {
    return kv_bytes_per_token(facts.lowered, format, default_block_tokens(facts.lowered, format));
  };
  out["kv_bytes_per_token"] = {
      {"f32", kv_bytes(Format::kF32)}, {"f16", kv_bytes(Format::kF16)}, {"int8", kv_bytes(kKvInt8)}};
  return out;
}

void print_facts(const nlohmann::ordered_json& facts) {
  for (const auto& [key, value] : facts.items()) {
    std::printf("%-24s %s\n", key.c_str(), value.is_string() ? value.get<std::string>().c_str() : value.dump().c_str());
  }
}

// The lowered program as it would run here: each op with its kernel and what one decoded token costs.
void print_program(const InfoOptions& options, const std::string& path) {
  const auto model = Model::load(path, options.model.load_options(1));
  std::printf("%-100s %-28s %12s %12s\n", "op", "kernel", "bytes", "operations");
  Cost total;
  for (const OpReport& op : model->runner().report()) {
    std::printf("%-100s %-28s %12.0f %12.0f\n", op.line.c_str(), op.kernel.c_str(), op.cost.bytes, op.cost.ops);
    total.bytes += op.cost.bytes;
    total.ops += op.cost.ops;
  }
  const MemoryReport memory = model->runner().memory();
  std::printf("one decoded token: %.0f bytes, %.0f operations\n", total.bytes, total.ops);
  std::printf("memory: packed weights %llu, mapped weights %llu, activations %llu, draws %llu, KV pool %llu bytes\n",
              static_cast<unsigned long long>(memory.packed_weights),
              static_cast<unsigned long long>(memory.mapped_weights),
              static_cast<unsigned long long>(memory.activations), static_cast<unsigned long long>(memory.draws),
              static_cast<unsigned long long>(memory.kv_pool));
  const PackCacheReport packed = model->runner().pack_cache();
  std::printf("pack cache: %s, %llu bytes%s%s; loaded in %lld ms\n", name_of(packed.state).data(),
              static_cast<unsigned long long>(packed.bytes), packed.reason.empty() ? "" : ", ", packed.reason.c_str(),
              static_cast<long long>(model->load_ms()));
}

// As README shows it.
void print_architectures() {
  const auto join = [](std::span<const std::string_view> names) {
    std::string text;
    for (std::string_view name : names) text += (text.empty() ? "`" : ", `") + std::string(name) + "`";
    return text;
  };
  std::printf("| models | in GGUF files | in Hugging Face folders |\n|---|---|---|\n");
  for (const ArchSpec* arch : archs()) {
    std::printf("| %s | %s | %s |\n", std::string(arch->models).c_str(), join(arch->gguf_names).c_str(),
                join(arch->hugging_face_names).c_str());
  }
}

void run_info(const InfoOptions& options) {
  if (options.architectures) return print_architectures();
  if (options.model.model.empty()) bad_input("[info] MODEL is required");
  const std::string path = options.model.path(PullMode::kNever);
  if (options.inference) {
    const auto checkpoint = open_model(path, Weights::kReady);
    const Inference inference = infer_model(*checkpoint, options.model.told());
    std::printf("%s", to_string(inference).c_str());
    if (!inference.sure()) refuse(inference);
    return;
  }
  if (options.program) return print_program(options, path);
  const ModelFacts facts = ModelFacts::read(path, Weights::kUnread, 0, options.model.infer());
  if (options.source) {
    std::printf("%s", to_string(facts.source).c_str());
    return;
  }
  const nlohmann::ordered_json json = facts_json(facts);
  if (options.json) {
    std::printf("%s\n", json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  } else {
    print_facts(json);
  }
}

}  // namespace

void Subcommands::add_info(CLI::App& app) {
  auto options = std::make_shared<InfoOptions>();
  CLI::App* command = app.add_subcommand("info", "Describe a model, its needs and its program");
  options->model.add_model(*command, false);
  options->model.add_load(*command);
  command->add_flag("--json", options->json, "As one JSON object");
  command->add_flag("--program", options->program, "The lowered program with each op's kernel and cost");
  command->add_flag("--source", options->source, "The source program, before any pass");
  command->add_flag("--infer", options->inference, "What AutoDeploy infers of it, as if its architecture were unknown");
  command->add_flag("--architectures", options->architectures, "Which models can be run");
  command->callback([options] { run_info(*options); });
}

}  // namespace tern
