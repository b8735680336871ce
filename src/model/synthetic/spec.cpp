#include "model/synthetic/spec.h"

#include <fmt/core.h>

#include <charconv>
#include <filesystem>

#include "core/error.h"
#include "core/limits.h"
#include "formats/gguf.h"
#include "formats/hf_config.h"
#include "formats/text_part.h"
#include "model/synthetic/known_shapes.h"
#include "model/synthetic/tensor_types.h"
#include "model/weights.h"

namespace tern {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "synth:";

// Takes ":word" off the end of `text`, when there is one.
std::string_view last_word(std::string_view text) {
  const size_t colon = text.rfind(':');
  return colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1);
}

bool parse_seed(std::string_view text, uint64_t& seed) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

SyntheticFacts facts_of(const Checkpoint& checkpoint) {
  SyntheticFacts facts{&arch_of(checkpoint), model_config(checkpoint), {}};
  facts.rope_factors = rope_factors(checkpoint, facts.config.rope, facts.config.context);
  return facts;
}

// A config.json alone: the architectures learn the vocabulary from the embedding's shape, so one without bytes stands
// in for it.
SyntheticFacts facts_of_config(std::span<const std::byte> text, const std::string& path) {
  Checkpoint checkpoint;
  checkpoint.kind = CheckpointKind::kHuggingFace;
  checkpoint.path = path;
  checkpoint.metadata = Metadata("[config] " + printable(path, 4096));
  read_config(text, path, "", checkpoint);
  checkpoint = text_part(std::move(checkpoint));
  const std::string name = tensor_name(Role::kTokenEmbedding, -1, checkpoint);
  const Metadata& metadata = checkpoint.metadata;
  const int64_t rows = metadata.integer("vocab_size", 1, static_cast<int64_t>(Limits::kVocabulary));
  const int64_t cols =
      metadata.integer(metadata.has("n_embd") ? "n_embd" : "hidden_size", 1, static_cast<int64_t>(Limits::kModelDim));
  checkpoint.tensors.push_back({.name = name, .format = Format::kF32, .shape = {rows, cols}, .data = {}});
  checkpoint.index_tensors();
  return facts_of(checkpoint);
}

}  // namespace

bool is_synthetic(std::string_view model) { return model.starts_with(kPrefix); }

SyntheticSpec parse_synthetic(std::string_view model) {
  SyntheticSpec spec;
  std::string_view rest = model.substr(is_synthetic(model) ? kPrefix.size() : 0);
  uint64_t seed = 0;
  if (parse_seed(last_word(rest), seed)) {
    const std::string_view before = rest.substr(0, rest.rfind(':'));
    if (find_type_mix(last_word(before)) != nullptr) {
      spec.seed = seed;
      rest = before;
    }
  }
  if (find_type_mix(last_word(rest)) != nullptr) {
    spec.type = last_word(rest);
    rest = rest.substr(0, rest.rfind(':'));
  }
  spec.config = rest;
  if (rest.empty()) bad_input(fmt::format("[synth] '{}' names no CONFIG", printable(model, 200)));
  return spec;
}

std::string to_string(const SyntheticSpec& spec) {
  return fmt::format("{}{}:{}:{}", kPrefix, spec.config, spec.type, spec.seed);
}

SyntheticFacts synthetic_facts(const std::string& config) {
  if (const std::string_view known = known_shape(config); !known.empty()) {
    return facts_of_config(std::as_bytes(std::span(known)), config);
  }
  std::error_code ignored;
  const fs::path path = fs::is_directory(config, ignored) ? fs::path(config) / "config.json" : fs::path(config);
  if (!fs::exists(path, ignored)) {
    bad_input(fmt::format(
        "[synth] '{}' is no config.json, no folder with one, no GGUF file and no known shape; shapes: {}; types: {}",
        printable(config, 200), known_shape_names(), type_mix_names()));
  }
  const MappedFile file(path.string());
  if (looks_like_gguf(file.bytes())) return facts_of(read_gguf(file.bytes(), path.string()));
  return facts_of_config(file.bytes(), path.string());
}

}  // namespace tern
