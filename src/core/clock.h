// Time as the engine sees it: monotonic only, and replaceable, so that simulations run on a clock of their own.
#pragma once

#include <chrono>
#include <cstdint>

namespace tern {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual int64_t now_ns() const = 0;
};

class SteadyClock final : public Clock {
 public:
  int64_t now_ns() const override {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
};

}  // namespace tern
