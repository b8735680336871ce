// Which format each tensor of a quantized file gets: the mixes by the names that llama.cpp's quantizer gives them
// ("q4_k_m"), with its rules for sensitive tensors and for rows that are not whole blocks. Pure functions, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "model/config.h"
#include "model/roles.h"
#include "quant/format.h"

namespace tern {

struct TypeMix {
  std::string_view name;    // lower case
  std::string_view format;  // of most matrices, a name of formats()
  uint32_t file_type;       // general.file_type of a GGUF file
};

// Null when the name is unknown or its format is none that tern reads.
const TypeMix* find_type_mix(std::string_view name);
std::string type_mix_names();  // those that can be used, comma-separated

// The format of the matrix `role` of `layer` (-1: of none) with rows of `cols` elements.
Format tensor_format(const TypeMix& mix, const ModelConfig& config, Role role, int32_t layer, int64_t cols);

}  // namespace tern
