// model.safetensors.index.json: which file of a folder holds which tensor. Internal to formats.
//
// The text says names of files, and a model may come from anywhere: a name is one of the folder's own files or refused.
// Pure function, any thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/string_pool.h"

namespace tern {

struct SafetensorsIndex {
  std::vector<std::pair<std::string_view, std::string_view>> tensors;  // name and file, in the order of the text
  std::vector<std::string_view> files;                                 // each once, sorted
};

// Strings of the result live in `pool`. Refuses what is not such an index, with one line that begins with `source`.
SafetensorsIndex parse_safetensors_index(std::span<const std::byte> text, const std::string& source, StringPool& pool);

}  // namespace tern
