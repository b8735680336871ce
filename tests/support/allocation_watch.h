// Proof that something allocates little or nothing: a test binary that uses this has an operator new that keeps score,
// in all threads.
#pragma once

#include <cstddef>

namespace tern::test {

// Starts a new score on construction. One at a time.
class AllocationWatch {
 public:
  AllocationWatch();
  size_t largest() const;  // bytes of the largest single allocation since
  size_t total() const;    // bytes of all allocations since, freed or not
};

}  // namespace tern::test
