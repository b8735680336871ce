// The runner of a loaded model: on the CPU, on a GPU, or its layers on both.
#pragma once

#include <memory>

#include "api/model.h"

namespace tern {

// As a GPU runs it: workers of a CPU have what is fused into products, a GPU's launches are ops.
Program lower_for_gpu(const Program& source);

// `options` with its defaults filled in.
std::unique_ptr<Runner> make_runner(const ModelFacts& facts, const LoadOptions& options);

}  // namespace tern
