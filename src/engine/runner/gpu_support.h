// What the CUDA runner cannot run yet, found in the program before anything is loaded. Pure function.
#pragma once

#include <string>

#include "model/program.h"

namespace tern {

// "op scale has no CUDA kernel"; empty when every op of the lowered program has one.
std::string cuda_refusal(const Program& program);

}  // namespace tern
