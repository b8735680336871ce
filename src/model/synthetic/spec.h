// The name of a synthetic model, `synth:CONFIG[:TYPE[:SEED]]`, and the facts behind its CONFIG. Pure but for reading
// CONFIG; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/archs/arch.h"
#include "model/config.h"

namespace tern {

struct SyntheticSpec {
  std::string config;           // a known shape, a config.json, a folder with one, or a GGUF file
  std::string type = "q4_k_m";  // of type_mix_names()
  uint64_t seed = 0;
};

// Whether a MODEL names a synthetic model.
bool is_synthetic(std::string_view model);
// Throws a bad-input line for a name without CONFIG. A CONFIG may contain colons: only a known TYPE, and a number after
// one, are taken off its end.
SyntheticSpec parse_synthetic(std::string_view model);
std::string to_string(const SyntheticSpec& spec);  // the full name, from which the same model is made

struct SyntheticFacts {
  const ArchSpec* arch;
  ModelConfig config;
  std::vector<float> rope_factors;  // of a GGUF file that has them
};

// Reads the facts of `config`, without any weight. Throws a bad-input line that lists the known shapes.
SyntheticFacts synthetic_facts(const std::string& config);

}  // namespace tern
