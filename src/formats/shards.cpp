#include "formats/shards.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "core/error.h"
#include "core/limits.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "formats/safetensors_index.h"

namespace tern {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSplitCount = "split.count", kSplitNumber = "split.no",
                           kSplitTensors = "split.tensors.count";
constexpr size_t kPartDigits = 5;
constexpr size_t kPartSuffix = 2 * kPartDigits + 5;  // "-00002-of-00005"

bool present(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool all_digits(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool ends_as_part(std::string_view stem) {
  if (stem.size() < kPartSuffix) return false;
  const std::string_view suffix = stem.substr(stem.size() - kPartSuffix);
  return suffix[0] == '-' && suffix.substr(kPartDigits + 1, 4) == "-of-" && all_digits(suffix.substr(1, kPartDigits)) &&
         all_digits(suffix.substr(kPartDigits + 5));
}

// Tensors and what keeps their names and bytes alive.
void add_part(Checkpoint& whole, Checkpoint part, std::shared_ptr<MappedFile> file, const std::string& source) {
  if (whole.tensors.size() + whole.stored.size() + part.tensors.size() + part.stored.size() > Limits::kTensors) {
    bad_input(fmt::format("{}: more tensors than the limit of {}", source, Limits::kTensors));
  }
  std::ranges::move(part.tensors, std::back_inserter(whole.tensors));
  std::ranges::move(part.stored, std::back_inserter(whole.stored));
  std::ranges::move(part.strings, std::back_inserter(whole.strings));
  whole.files.push_back(std::move(file));
}

// ---- safetensors

// Every tensor lies where the index says.
void check_places(const SafetensorsIndex& index, const std::string& source, std::string_view file,
                  const Checkpoint& part) {
  for (const auto& [name, where] : index.tensors) {
    if (where != file || part.holds(name)) continue;
    bad_input(fmt::format("{}: tensor {} should be in {}, which does not hold it", source, printable(name, 512),
                          printable(file)));
  }
}

// ---- GGUF

struct Split {
  int64_t number = 0, count = 1;
};

Split split_of(const Metadata& metadata) {
  Split split;
  split.count = metadata.integer_or(kSplitCount, 1, 0, UINT16_MAX);
  if (split.count <= 1) return {};
  if (split.count > static_cast<int64_t>(Limits::kShards)) {
    metadata.refuse(kSplitCount, fmt::format("{} exceeds the limit of {}", split.count, Limits::kShards));
  }
  split.number = metadata.integer(kSplitNumber, 0, split.count - 1);
  return split;
}

// NAME-00002-of-00005.gguf, counted from 1, for number 1 of 5.
std::string part_path(const fs::path& any, const Split& split) {
  const std::string stem = any.stem().string();
  const std::string name = fmt::format("{}-{:05}-of-{:05}{}", stem.substr(0, stem.size() - kPartSuffix),
                                       split.number + 1, split.count, any.extension().string());
  return (any.parent_path() / name).string();
}

Checkpoint read_part(const MappedFile& file, const Split& expected, const std::string& source) {
  Checkpoint part = read_gguf(file.bytes(), file.path());
  const Split split = split_of(part.metadata);
  if (split.count != expected.count || split.number != expected.number) {
    bad_input(fmt::format("{}: {} says that it is part {} of {}, not {} of {}", source, printable(file.path(), 4096),
                          split.number + 1, split.count, expected.number + 1, expected.count));
  }
  return part;
}

std::shared_ptr<MappedFile> open_part(const std::string& path, const Split& split, const std::string& source) {
  if (!present(path)) {
    bad_input(
        fmt::format("{}: part {} of {} is missing: {}", source, split.number + 1, split.count, printable(path, 4096)));
  }
  return std::make_shared<MappedFile>(path);
}

}  // namespace

bool named_as_part(const std::string& path) { return ends_as_part(fs::path(path).stem().string()); }

Checkpoint read_safetensors_shards(const std::string& folder) {
  const fs::path base(folder);
  const MappedFile text((base / kSafetensorsIndex).string());
  const std::string source = "[safetensors] " + printable(text.path(), 4096);
  if (text.bytes().size() > Limits::kSafetensorsHeaderBytes) {
    bad_input(fmt::format("{}: {} bytes exceed the limit of {}", source, text.bytes().size(),
                          Limits::kSafetensorsHeaderBytes));
  }
  StringPool pool(text.bytes().size());
  const SafetensorsIndex index = parse_safetensors_index(text.bytes(), source, pool);
  Checkpoint whole;
  whole.kind = CheckpointKind::kHuggingFace;
  whole.path = folder;
  whole.metadata = Metadata(source);
  for (const std::string_view file : index.files) {
    const fs::path path = base / file;
    if (!present(path)) bad_input(fmt::format("{}: {} is missing", source, printable(path.string(), 4096)));
    auto mapped = std::make_shared<MappedFile>(path.string());
    Checkpoint part = read_safetensors(mapped->bytes(), mapped->path());
    check_places(index, source, file, part);
    for (const std::string& key : part.metadata.keys()) {
      if (!whole.metadata.has(key)) whole.metadata.set(key, *part.metadata.find(key));
    }
    add_part(whole, std::move(part), std::move(mapped), source);
  }
  whole.index_tensors();  // refuses a tensor that two files hold
  return whole;
}

Checkpoint gather_gguf_parts(Checkpoint first, std::shared_ptr<MappedFile> file) {
  const std::string path = file->path(), source = first.metadata.source();
  const Split given = split_of(first.metadata);
  if (given.count == 1) {
    first.files.push_back(std::move(file));
    return first;
  }
  if (!named_as_part(path) || part_path(path, given) != fs::path(path).string()) {
    first.metadata.refuse(kSplitCount, fmt::format("part {} of {} is not called NAME-{:05}-of-{:05}.gguf, so the "
                                                   "others cannot be found",
                                                   given.number + 1, given.count, given.number + 1, given.count));
  }
  Checkpoint whole;
  for (Split split{0, given.count}; split.number < given.count; ++split.number) {
    const bool is_given = split.number == given.number;
    auto mapped = is_given ? file : open_part(part_path(path, split), split, source);
    Checkpoint part = is_given ? std::move(first) : read_part(*mapped, split, source);
    if (split.number == 0) {
      part.files.push_back(std::move(mapped));
      whole = std::move(part);
    } else {
      add_part(whole, std::move(part), std::move(mapped), source);
    }
  }
  whole.path = path;
  const int64_t tensors = static_cast<int64_t>(whole.tensors.size());
  if (const int64_t said = whole.metadata.integer_or(kSplitTensors, tensors, 0, INT32_MAX); said != tensors) {
    whole.metadata.refuse(kSplitTensors, fmt::format("{} tensors are said, the parts hold {}", said, tensors));
  }
  whole.index_tensors();
  return whole;
}

}  // namespace tern
