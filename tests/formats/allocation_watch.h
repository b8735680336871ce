// Proof that a reader does not allocate what a file merely claims: this test binary's operator new keeps score.
#pragma once

#include <cstddef>

namespace tern::test {

// Starts a new score on construction. One at a time, one thread.
class AllocationWatch {
 public:
  AllocationWatch();
  size_t largest() const;  // bytes of the largest single allocation since
  size_t total() const;    // bytes of all allocations since, freed or not
};

}  // namespace tern::test
