// What one rendering may cost. Every evaluation step, and every byte or element that an operation makes or looks at, is
// paid for here, so that no template runs for long or fills the memory, however it is written. One for each rendering.
#pragma once

#include <cstdint>
#include <string>

#include "core/limits.h"

namespace tern::jinja {

// An error of a template, at compile or run time. Becomes a tern::Error with the line before it leaves the module.
struct Failure {
  std::string message;
};

[[noreturn]] inline void raise(std::string message) { throw Failure{std::move(message)}; }

class Budget {
 public:
  void spend(uint64_t steps) {
    if (steps > left_) raise("more than " + std::to_string(Limits::kTemplateSteps) + " evaluation steps");
    left_ -= steps;
  }
  // A string of `bytes` is made or read through; with its marks it takes twice that.
  void spend_bytes(uint64_t bytes) {
    if (bytes > Limits::kTemplateOutputBytes) {
      raise("a string of " + std::to_string(bytes) + " bytes, more than " +
            std::to_string(Limits::kTemplateOutputBytes));
    }
    spend(1 + bytes / kBytesPerStep);
  }
  // A list or dictionary of `count` elements is made or read through.
  void spend_elements(uint64_t count) {
    if (count > Limits::kTemplateSteps) raise("a list of " + std::to_string(count) + " elements");
    spend(1 + count);
  }

 private:
  static constexpr uint64_t kBytesPerStep = 64;
  uint64_t left_ = Limits::kTemplateSteps;
};

}  // namespace tern::jinja
