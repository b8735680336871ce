// What a synthetic GGUF file says otherwise than the model that it stands for: facts that architectures keep in keys
// that write_facts() does not write. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "model/config.h"

namespace tern {

// A line a fact that changes what is computed or how much of it. How the same rotation is stored (its style, factors
// instead of a formula) and norms kept as their distance from 1 are no such facts.
std::vector<std::string> differing_facts(const ModelConfig& wanted, const ModelConfig& read);

}  // namespace tern
