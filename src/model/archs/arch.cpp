#include "model/archs/arch.h"

#include <algorithm>
#include <array>

#include "core/error.h"

namespace tern {
namespace {

constexpr std::array kArchs{&kArchLlama,  &kArchQwen2,  &kArchQwen3, &kArchQwen3Moe, &kArchMixtral, &kArchPhi3,
                            &kArchGemma2, &kArchGemma3, &kArchOlmo2, &kArchSmollm3,  &kArchGranite};

std::string_view declared_name(const Checkpoint& checkpoint) {
  if (checkpoint.kind == CheckpointKind::kGguf) return checkpoint.metadata.string("general.architecture");
  const auto names = checkpoint.metadata.strings("architectures");
  if (names.empty()) checkpoint.metadata.refuse("architectures", "is empty");
  return names[0];
}

}  // namespace

std::span<const ArchSpec* const> archs() { return kArchs; }

const ArchSpec& arch_of(const Checkpoint& checkpoint) {
  const std::string_view name = declared_name(checkpoint);
  std::string known;
  for (const ArchSpec* arch : archs()) {
    const auto names = checkpoint.kind == CheckpointKind::kGguf ? arch->gguf_names : arch->hugging_face_names;
    if (std::find(names.begin(), names.end(), name) != names.end()) return *arch;
    for (std::string_view known_name : names) known += (known.empty() ? "" : ", ") + std::string(known_name);
  }
  bad_input(checkpoint.metadata.source() + ": architecture \"" + printable(name) +
            "\" is not supported; known: " + known);
}

std::string tensor_name(Role role, int32_t layer, const Checkpoint& checkpoint) {
  for (const RoleName& name : arch_of(checkpoint).names) {
    if (name.role == role) {
      return layer_name(checkpoint.kind == CheckpointKind::kGguf ? name.gguf : name.hugging_face, layer);
    }
  }
  return tensor_name(role, layer, checkpoint.kind);
}

ModelConfig model_config(const Checkpoint& checkpoint) {
  const ArchSpec& arch = arch_of(checkpoint);
  ModelConfig config = arch.config(checkpoint);
  config.architecture = std::string(arch.name);
  validate(config, checkpoint.metadata.source());
  return config;
}

}  // namespace tern
