// How long a GPU stands idle between two steps: from the end of a step's last launch to the begin of the next one's
// first, by the GPU's own clock. Copies of tokens to the host and of inputs to the device lie in it. Only steps that
// were enqueued while the one before was in flight count, the last kKept of them. Engine thread; allocates nothing.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "device/cuda_device.h"

namespace tern {

class CudaStepGaps {
 public:
  static constexpr int kDepth = 2;  // steps in flight at most
  static constexpr uint64_t kKept = 200;

  // Around a step's launches.
  void begin(void* stream);
  void end(void* stream);
  // The oldest step in flight has been waited for.
  void finished();
  // Nothing before the first gap.
  std::optional<double> median_us() const;

 private:
  struct Step {
    CudaEvent begin{CudaEvent::Kind::kTimed}, end{CudaEvent::Kind::kTimed};
    bool follows = false;  // another that was in flight
  };
  Step& step(uint64_t number) { return steps_[number % steps_.size()]; }

  std::array<Step, kDepth + 1> steps_;  // those in flight, and the one before
  uint64_t begun_ = 0, finished_ = 0, count_ = 0;
  std::array<double, kKept> gaps_us_ = {};
};

}  // namespace tern
