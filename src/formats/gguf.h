// GGUF versions 2 and 3, little-endian: magic, counts, key-value pairs, tensor infos, padding, tensor data.
//
// Every number goes through the bounded reader and Checked; no count is believed before the bytes that follow could
// hold it. A file is loaded as it says or refused with one line that names file, field and reason. Pure function over
// the bytes, any thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "formats/checkpoint.h"

namespace tern {

// Names, strings and data of the result are views of `bytes`, which the caller keeps alive; `path` is for messages.
Checkpoint read_gguf(std::span<const std::byte> bytes, const std::string& path);

// True when the bytes begin like a GGUF file of either byte order.
bool looks_like_gguf(std::span<const std::byte> bytes);

}  // namespace tern
