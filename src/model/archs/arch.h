// An architecture: one file here, one row in archs(), one golden test.
//
// It knows its names in both kinds of checkpoint and how to read its facts from their metadata; the program is built
// from the facts alone (model/blocks/). No other file of tern mentions a model's name.
#pragma once

#include <span>
#include <string_view>
#include <variant>

#include "formats/checkpoint.h"
#include "model/config.h"
#include "model/program.h"

namespace tern {

// A fact that Hugging Face files leave out where it is what the class of their configuration has.
struct FactDefault {
  std::string_view key;
  std::variant<int64_t, double> value;
  constexpr FactDefault(std::string_view name, int64_t integer) : key(name), value(integer) {}
  constexpr FactDefault(std::string_view name, int integer) : key(name), value(int64_t{integer}) {}
  constexpr FactDefault(std::string_view name, double number) : key(name), value(number) {}
};

struct ArchSpec {
  std::string_view name;
  std::span<const std::string_view> gguf_names;          // general.architecture
  std::span<const std::string_view> hugging_face_names;  // config.json, architectures[0]
  ModelConfig (*config)(const Checkpoint& checkpoint);
  Program (*program)(const ModelConfig& config);
  std::string_view models;                // what people call those that it covers
  std::span<const RoleName> names = {};   // where they differ from most
  std::string_view optional_prefix = {};  // of names in Hugging Face files, which some lack
  std::span<const FactDefault> defaults = {};
};

extern const ArchSpec kArchLlama;
extern const ArchSpec kArchQwen2;
extern const ArchSpec kArchQwen3;
extern const ArchSpec kArchQwen3Moe;
extern const ArchSpec kArchMixtral;
extern const ArchSpec kArchPhi3;
extern const ArchSpec kArchGemma2;
extern const ArchSpec kArchGemma3;
extern const ArchSpec kArchOlmo2;
extern const ArchSpec kArchSmollm3;
extern const ArchSpec kArchGranite;
extern const ArchSpec kArchGptOss;
extern const ArchSpec kArchDeepseek2;
extern const ArchSpec kArchGpt2;
extern const ArchSpec kArchStarcoder2;
extern const ArchSpec kArchCommandR;
extern const ArchSpec kArchOlmoe;
extern const ArchSpec kArchBert;
extern const ArchSpec kArchLfm2;
extern const ArchSpec kArchLlama4;
extern const ArchSpec kArchQwen3Next;

std::span<const ArchSpec* const> archs();

// The architecture of a checkpoint; null when there is no row.
const ArchSpec* find_arch(const Checkpoint& checkpoint);

// The same; throws a bad-input line naming it when there is no row.
const ArchSpec& arch_of(const Checkpoint& checkpoint);

// The tensor's name as the checkpoint's architecture has it; inferred_name() where that has no row.
std::string tensor_name(Role role, int32_t layer, const Checkpoint& checkpoint);

// What GGUF files of the architecture call it.
std::string gguf_name(Role role, int32_t layer, const ArchSpec& arch);

// How the role's matrix lies in that tensor.
StoredForm stored_form(Role role, const Checkpoint& checkpoint);

// What a tensor is called in the view of a checkpoint whose architecture was inferred (plan/autodeploy): its role,
// beside its layer; @ for the expert is left in it.
std::string inferred_name(Role role, int32_t layer);

// A key of the metadata of such a view, of a Hugging Face folder: matrices lie a column an output.
inline constexpr std::string_view kInferredTransposed = "inferred.transposed";

// Reads and validates the facts.
ModelConfig model_config(const Checkpoint& checkpoint);

}  // namespace tern
