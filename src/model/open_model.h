// From the MODEL that a user names to a Checkpoint: a file or folder, or a synthetic model.
#pragma once

#include <memory>
#include <string>

#include "formats/checkpoint.h"

namespace tern {

enum class Weights {
  kUnread,  // only what the model says about itself: a synthetic one takes no memory
  kReady,
};

// `threads` (0: all CPUs granted) make the weights of a synthetic model; files are mapped. Throws bad-input lines.
std::shared_ptr<const Checkpoint> open_model(const std::string& model, Weights weights, int threads = 0);

}  // namespace tern
