#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "core/error.h"
#include "formats/checkpoint.h"
#include "formats/gguf.h"
#include "formats/hf_config.h"
#include "formats/safetensors.h"
#include "formats/shards.h"
#include "formats/text_part.h"

namespace tern {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWeights = "model.safetensors";
constexpr const char* kConfig = "config.json";
constexpr const char* kGenerationConfig = "generation_config.json";
constexpr const char* kQuantizeConfig = "quantize_config.json";  // of GPTQ folders from before config.json said it

constexpr std::string_view kQuantization = "quantization_config.";

bool present(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// "[hf] folder: reason"
[[noreturn]] void refuse(const std::string& path, const std::string& reason) {
  bad_input("[hf] " + printable(path, 4096) + ": " + reason);
}

void add_config(const fs::path& file, std::string_view prefix, Checkpoint& checkpoint) {
  const MappedFile mapped(file.string());  // strings are copied out, so the mapping may go
  read_config(mapped.bytes(), mapped.path(), prefix, checkpoint);
}

// Adds what lies beside the weights in `folder`; messages about the whole name `path`, what the user gave.
Checkpoint with_config(Checkpoint checkpoint, const fs::path& folder, const std::string& path) {
  if (!present(folder / kConfig)) refuse(path, fmt::format("{} is missing beside the weights", kConfig));
  const Metadata free_text = std::move(checkpoint.metadata);
  checkpoint.path = path;
  checkpoint.metadata = Metadata("[hf] " + printable(path, 4096));
  for (const std::string& key : free_text.keys()) checkpoint.metadata.set(key, *free_text.find(key));
  add_config(folder / kConfig, "", checkpoint);
  if (present(folder / kGenerationConfig)) add_config(folder / kGenerationConfig, "generation_config.", checkpoint);
  const bool quantization = std::ranges::any_of(checkpoint.metadata.keys(),
                                                [](const std::string& key) { return key.starts_with(kQuantization); });
  if (!quantization && present(folder / kQuantizeConfig)) {
    add_config(folder / kQuantizeConfig, kQuantization, checkpoint);
    checkpoint.metadata.set(std::string(kQuantization) + "quant_method", {std::string_view("gptq")});
  }
  return text_part(std::move(checkpoint));
}

Checkpoint open_safetensors(std::shared_ptr<MappedFile> weights, const fs::path& folder, const std::string& path) {
  Checkpoint checkpoint = read_safetensors(weights->bytes(), weights->path());
  checkpoint.files.push_back(std::move(weights));
  return with_config(std::move(checkpoint), folder, path);
}

// The folder's one .safetensors file whatever its name, or an empty path.
fs::path only_safetensors(const fs::path& folder) {
  fs::path found;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() != ".safetensors") continue;
    if (!found.empty()) return {};
    found = at->path();
  }
  return named_as_part(found.string()) ? fs::path() : found;
}

Checkpoint open_folder(const std::string& path) {
  const fs::path folder(path);
  if (!present(folder / kWeights) && present(folder / kSafetensorsIndex)) {
    return with_config(read_safetensors_shards(path), folder, path);
  }
  const fs::path weights = present(folder / kWeights) ? folder / kWeights : only_safetensors(folder);
  if (weights.empty()) {
    if (present(folder / "pytorch_model.bin")) {
      refuse(path, fmt::format("{} is missing; pytorch_model.bin is a pickle, which is not read", kWeights));
    }
    refuse(path, fmt::format("{} is missing; a model is a folder with {} and {}, or a .gguf file", kWeights, kConfig,
                             kWeights));
  }
  return open_safetensors(std::make_shared<MappedFile>(weights.string()), folder, path);
}

Checkpoint open_file(const std::string& path) {
  auto file = std::make_shared<MappedFile>(path);
  if (looks_like_gguf(file->bytes())) return gather_gguf_parts(read_gguf(file->bytes(), path), file);
  const fs::path as_path(path);
  // By name too: a damaged safetensors file is better told what is wrong with it than that it is unknown.
  if (looks_like_safetensors(file->bytes()) || as_path.extension() == ".safetensors") {
    const fs::path folder = as_path.parent_path();
    if (named_as_part(path) && present(folder / kSafetensorsIndex)) {
      return with_config(read_safetensors_shards(folder.string()), folder, path);
    }
    return open_safetensors(std::move(file), folder, path);
  }
  if (as_path.extension() == ".gguf") return read_gguf(file->bytes(), path);  // says what is wrong
  bad_input(fmt::format("[file] {}: is neither GGUF nor safetensors ({} bytes)", printable(path, 4096),
                        file->bytes().size()));
}

}  // namespace

std::shared_ptr<const Checkpoint> open_checkpoint(const std::string& path) {
  std::error_code ignored;
  const bool is_folder = fs::is_directory(path, ignored);
  return std::make_shared<const Checkpoint>(is_folder ? open_folder(path) : open_file(path));
}

}  // namespace tern
