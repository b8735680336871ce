// From the MODEL that a user names to a Checkpoint: a file or folder, whose weights are put together where other
// programs quantized them, or a synthetic model.
#pragma once

#include <memory>
#include <string>

#include "formats/checkpoint.h"

namespace tern {

enum class Weights {
  kUnread,  // only what the model says about itself: no memory is taken for weights that are made
  kReady,
};

// `threads` (0: all CPUs granted) make weights that no file holds as they are; others are mapped. Throws bad-input
// lines.
std::shared_ptr<const Checkpoint> open_model(const std::string& model, Weights weights, int threads = 0);

}  // namespace tern
