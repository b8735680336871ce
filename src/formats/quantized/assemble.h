// Weights of checkpoints that other programs quantized: GPTQ, AWQ, FP8, compressed-tensors and gpt-oss' MXFP4 folders.
//
// Such a file holds no weight as one tensor: codes, scales, zeros and indices are tensors of their own. They are put
// together into tensors of tern's formats, in memory of the checkpoint's own. What each kind becomes is in
// integers.h, fp8.cpp and fp4.cpp, and is written to the checkpoint's notes.
#pragma once

#include <memory>

#include "formats/checkpoint.h"

namespace tern {

// The checkpoint itself when it has no quantization_config. `fill` false: types and shapes only, no memory is
// touched. `threads` (0: all CPUs granted) do the work. Throws bad-input lines that name the method when it is none of
// those read, or the module whose tensors disagree; Error{kResource} when the memory is not there.
std::shared_ptr<const Checkpoint> assembled(std::shared_ptr<const Checkpoint> checkpoint, bool fill, int threads);

}  // namespace tern
