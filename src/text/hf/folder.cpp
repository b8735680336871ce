#include "text/hf/folder.h"

#include <fmt/core.h>

#include <array>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/limits.h"
#include "formats/mapped_file.h"
#include "text/hf/build.h"

namespace tern::hf {
namespace {

namespace fs = std::filesystem;

bool present(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// A JSON file with what its nodes refer to.
struct Document {
  explicit Document(const fs::path& path) : source("[tokenizer] " + printable(path.string(), 4096)) {
    const MappedFile file(path.string());
    if (file.bytes().size() > Limits::kConfigBytes) {
      bad_input(fmt::format("{}: {} bytes exceed the limit of {}", source, file.bytes().size(), Limits::kConfigBytes));
    }
    value = parse_json_tree(file.bytes(), source);
  }
  JsonNode node() const { return {value, source}; }

  std::string source;
  JsonValue value;
};

// Special tokens are strings or {"content": ...}.
std::optional<std::string> token_text(const JsonNode& config, std::string_view key) {
  const auto token = config.find(key);
  if (!token) return std::nullopt;
  return token->is_object() ? token->at("content").string() : token->string();
}

std::optional<bool> flag(const JsonNode& config, std::string_view key) {
  const auto value = config.find(key);
  return value ? std::optional(value->boolean()) : std::nullopt;
}

// A template, or a list of named ones, of which "default" counts.
std::string chat_template_from(const JsonNode& node) {
  if (node.is_string()) return node.string();
  std::string names;
  for (const JsonNode& named : node.items()) {
    const std::string& name = named.at("name").string();
    if (name == "default") return named.at("template").string();
    names += (names.empty() ? "" : ", ") + printable(name);
  }
  node.refuse(fmt::format("has no template named \"default\" (it has: {})", names));
}

std::string text_of(const fs::path& path) {
  const MappedFile file(path.string());
  if (file.bytes().size() > Limits::kTemplateBytes) {
    bad_input(fmt::format("[template] {}: {} bytes exceed the limit of {}", printable(path.string(), 4096),
                          file.bytes().size(), Limits::kTemplateBytes));
  }
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

std::string chat_template_of(const fs::path& folder, const std::optional<Document>& config) {
  if (present(folder / "chat_template.jinja")) return text_of(folder / "chat_template.jinja");
  if (config) {
    if (const auto node = config->node().find("chat_template")) return chat_template_from(*node);
  }
  if (!present(folder / "chat_template.json")) return "";
  const Document document(folder / "chat_template.json");
  return chat_template_from(document.node().at("chat_template"));
}

// An id, or a list of them.
void add_ids(const Metadata& metadata, const char* key, std::vector<int64_t>& ids) {
  const MetadataValue* value = metadata.find(key);
  if (value == nullptr) return;
  if (std::holds_alternative<MetadataArray>(value->value)) {
    for (const int64_t id : metadata.integers(key)) ids.push_back(id);
  } else {
    ids.push_back(metadata.integer(key, INT64_MIN, INT64_MAX));
  }
}

Companions companions_from(const std::optional<Document>& config, const Metadata& metadata) {
  Companions companions;
  add_ids(metadata, "eos_token_id", companions.end_ids);
  add_ids(metadata, "generation_config.eos_token_id", companions.end_ids);
  if (!config) return companions;
  const JsonNode node = config->node();
  companions.bos = token_text(node, "bos_token");
  companions.eos = token_text(node, "eos_token");
  companions.adds_bos = flag(node, "add_bos_token");
  companions.adds_eos = flag(node, "add_eos_token");
  return companions;
}

}  // namespace

bool has_tokenizer(const std::string& folder) { return present(fs::path(folder) / kTokenizerFile); }

FolderText read_folder_text(const std::string& folder, const Metadata& metadata) {
  const fs::path at(folder);
  if (!has_tokenizer(folder)) {
    bad_input(fmt::format("[tokenizer] {}: {} is missing beside the weights", printable(folder, 4096), kTokenizerFile));
  }
  std::optional<Document> config;
  if (present(at / "tokenizer_config.json")) config.emplace(at / "tokenizer_config.json");
  const MappedFile mapped((at / kTokenizerFile).string());
  const TokenizerFile file = read_tokenizer_file(mapped.bytes(), mapped.path());
  return {std::make_shared<const Tokenizer>(tokenizer_parts(file, companions_from(config, metadata))),
          chat_template_of(at, config)};
}

}  // namespace tern::hf
