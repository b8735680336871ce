// One program on two runners: layers below some number on the first, the others on the second (split_at()). Both keep
// the keys and values of their own layers, in blocks of the same numbers.
#pragma once

#include <memory>

#include "engine/runner/runner.h"

namespace tern {

// `first` runs the half that ends in hidden states, `second` the one that begins with them; their cache groups have the
// same numbers of blocks. One step at a time: the first half needs the tokens of the step before.
std::unique_ptr<Runner> make_split_runner(std::unique_ptr<Runner> first, std::unique_ptr<Runner> second);

}  // namespace tern
