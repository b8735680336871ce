#include "model/archs/arch.h"

#include <algorithm>
#include <array>

#include "core/error.h"

namespace tern {
namespace {

constexpr std::array kArchs{
    &kArchLlama,      &kArchQwen2,    &kArchQwen3,   &kArchQwen3Moe, &kArchMixtral, &kArchPhi3,      &kArchGemma2,
    &kArchGemma3,     &kArchOlmo2,    &kArchSmollm3, &kArchGranite,  &kArchGptOss,  &kArchDeepseek2, &kArchGpt2,
    &kArchStarcoder2, &kArchCommandR, &kArchOlmoe,   &kArchBert,     &kArchLfm2,    &kArchLlama4,    &kArchQwen3Next};

std::string_view declared_name(const Checkpoint& checkpoint) {
  if (checkpoint.kind == CheckpointKind::kGguf) return checkpoint.metadata.string("general.architecture");
  const auto names = checkpoint.metadata.strings("architectures");
  if (names.empty()) checkpoint.metadata.refuse("architectures", "is empty");
  return names[0];
}

// Where the architecture has one.
const RoleName* own_name(Role role, const ArchSpec& arch) {
  const std::span<const RoleName> names = arch.names;
  const auto found = std::find_if(names.begin(), names.end(), [&](const RoleName& name) { return name.role == role; });
  return found == names.end() ? nullptr : &*found;
}

// The same checkpoint with keys that it lacks.
Checkpoint with_defaults(Checkpoint checkpoint, std::span<const FactDefault> defaults) {
  for (const FactDefault& row : defaults) {
    if (checkpoint.metadata.has(row.key)) continue;
    std::visit([&](const auto& value) { checkpoint.metadata.set(std::string(row.key), {value}); }, row.value);
  }
  checkpoint.index_tensors();
  return checkpoint;
}

// Of attention and dense feed-forwards, all in one layout.
bool is_product(Role role) {
  constexpr std::array kProducts{Role::kAttentionQ,   Role::kAttentionK,   Role::kAttentionV,
                                 Role::kAttentionQkv, Role::kAttentionOut, Role::kFfnGate,
                                 Role::kFfnUp,        Role::kFfnGateUp,    Role::kFfnDown};
  return std::find(kProducts.begin(), kProducts.end(), role) != kProducts.end();
}

}  // namespace

std::span<const ArchSpec* const> archs() { return kArchs; }

const ArchSpec* find_arch(const Checkpoint& checkpoint) {
  const bool gguf = checkpoint.kind == CheckpointKind::kGguf;
  if (!checkpoint.metadata.has(gguf ? "general.architecture" : "architectures")) return nullptr;
  const std::string_view name = declared_name(checkpoint);
  for (const ArchSpec* arch : archs()) {
    const auto names = gguf ? arch->gguf_names : arch->hugging_face_names;
    if (std::find(names.begin(), names.end(), name) != names.end()) return arch;
  }
  return nullptr;
}

const ArchSpec& arch_of(const Checkpoint& checkpoint) {
  if (const ArchSpec* found = find_arch(checkpoint)) return *found;
  const std::string_view name = declared_name(checkpoint);
  std::string known;
  for (const ArchSpec* arch : archs()) {
    const auto names = checkpoint.kind == CheckpointKind::kGguf ? arch->gguf_names : arch->hugging_face_names;
    for (std::string_view known_name : names) known += (known.empty() ? "" : ", ") + std::string(known_name);
  }
  bad_input(checkpoint.metadata.source() + ": architecture \"" + printable(name) +
            "\" is not supported; known: " + known);
}

std::string tensor_name(Role role, int32_t layer, const Checkpoint& checkpoint) {
  const ArchSpec* arch = find_arch(checkpoint);
  if (arch == nullptr) return inferred_name(role, layer);
  if (checkpoint.kind == CheckpointKind::kGguf) return gguf_name(role, layer, *arch);
  const RoleName* name = own_name(role, *arch);
  if (name == nullptr) return tensor_name(role, layer, checkpoint.kind);
  std::string full = layer_name(name->hugging_face, layer);
  const std::string_view prefix = arch->optional_prefix;
  const bool lacks = !prefix.empty() && full.starts_with(prefix) && checkpoint.find(full) == nullptr;
  return lacks ? full.substr(prefix.size()) : full;
}

std::string gguf_name(Role role, int32_t layer, const ArchSpec& arch) {
  const RoleName* name = own_name(role, arch);
  const bool own = name != nullptr && !name->gguf.empty();
  return own ? layer_name(name->gguf, layer) : tensor_name(role, layer, CheckpointKind::kGguf);
}

StoredForm stored_form(Role role, const Checkpoint& checkpoint) {
  if (checkpoint.kind == CheckpointKind::kGguf) return {};
  const ArchSpec* arch = find_arch(checkpoint);
  const RoleName* name = arch == nullptr ? nullptr : own_name(role, *arch);
  if (name != nullptr) return name->hugging_face_form;
  const bool inferred = arch == nullptr && checkpoint.metadata.boolean_or(kInferredTransposed, false);
  return {.transposed = inferred && is_product(role)};
}

std::string inferred_name(Role role, int32_t layer) {
  const bool expert = role == Role::kExpertGate || role == Role::kExpertUp || role == Role::kExpertDown;
  const std::string name = std::string(name_of(role)) + (expert ? ".@.weight" : ".weight");
  return layer < 0 ? name : "layer." + std::to_string(layer) + "." + name;
}

ModelConfig model_config(const Checkpoint& checkpoint) {
  const ArchSpec& arch = arch_of(checkpoint);
  const bool fills = checkpoint.kind == CheckpointKind::kHuggingFace && !arch.defaults.empty();
  ModelConfig config = fills ? arch.config(with_defaults(checkpoint, arch.defaults)) : arch.config(checkpoint);
  config.architecture = std::string(arch.name);
  validate(config, checkpoint.metadata.source());
  return config;
}

}  // namespace tern
