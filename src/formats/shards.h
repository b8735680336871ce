// Models that lie in several files: a Hugging Face index with its safetensors files, and the parts that gguf-split
// makes. Internal to formats.
//
// All parts are mapped and become one Checkpoint. A part that is missing, that belongs to another set or that lacks
// what it should hold is refused with one line that names it. Any thread.
#pragma once

#include <memory>
#include <string>

#include "formats/checkpoint.h"

namespace tern {

inline constexpr const char* kSafetensorsIndex = "model.safetensors.index.json";

// The files that `folder`'s index names: tensors, their strings and the files; no configuration.
Checkpoint read_safetensors_shards(const std::string& folder);

// `first`, which was read from `file`, with the tensors of the other parts when it says that there are any
// (split.count). Whichever part of a set is given, its metadata are those of the first.
Checkpoint gather_gguf_parts(Checkpoint first, std::shared_ptr<MappedFile> file);

// Whether `path` is called like one of several files: NAME-00002-of-00005.EXTENSION.
bool named_as_part(const std::string& path);

}  // namespace tern
