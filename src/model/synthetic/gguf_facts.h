// A model's facts as a GGUF file says them: what archs/keys reads, written. Pure function, any thread.
#pragma once

#include "formats/gguf_writer.h"
#include "model/config.h"

namespace tern {

// Sizes, norm and rope of `config` under the keys of the architecture `arch` (general.architecture). Llama 3's rope
// scaling has no keys in GGUF: it is the tensor rope_freqs.
void write_facts(GgufLayout& layout, std::string_view arch, const ModelConfig& config);

// The entries of rope_freqs for kLlama3: what each frequency is divided by, [dims / 2].
std::vector<float> rope_divisors(const RopeConfig& rope);

}  // namespace tern
