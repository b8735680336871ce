// A safetensors file: u64 length of a JSON header, the header (name -> dtype, shape, data_offsets), tensor data.
//
// dtype, shape and offsets are held against each other: every tensor has exactly the bytes that its shape takes, and
// the tensors fill the data section without holes, overlaps or rest. F32, F16 and BF16 become tensors; integers, 8-bit
// floats and F64 are kept as StoredTensors; another dtype, a dimension of 0 and data not aligned to its element are
// refused by name. Pure function over the bytes, any thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "formats/checkpoint.h"

namespace tern {

// Data of the result are views of `bytes`, which the caller keeps alive; `path` is for messages. Tensors come in the
// order of their data. The header's free text becomes metadata "__metadata__.<key>".
Checkpoint read_safetensors(std::span<const std::byte> bytes, const std::string& path);

// True when the bytes begin like a safetensors file: a length within the file and a JSON object.
bool looks_like_safetensors(std::span<const std::byte> bytes);

}  // namespace tern
