// The runner of a loaded model: on the CPU, on a GPU, or its layers on both.
#pragma once

#include <memory>

#include "api/model.h"

namespace tern {

// As a GPU runs it: workers of a CPU have what is fused into products, a GPU's launches are ops.
Program lower_for_gpu(const Program& source);

// `options` with its defaults filled in. Where none of a GPU's layers fit there, or none are asked for, both change to
// what the CPU runs.
std::unique_ptr<Runner> make_runner(ModelFacts& facts, LoadOptions& options);

}  // namespace tern
