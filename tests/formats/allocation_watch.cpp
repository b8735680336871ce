#include "allocation_watch.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace {

thread_local size_t largest_bytes = 0;
thread_local size_t total_bytes = 0;

}  // namespace

void* operator new(size_t bytes) {
  largest_bytes = std::max(largest_bytes, bytes);
  total_bytes += bytes;
  if (void* at = std::malloc(bytes == 0 ? 1 : bytes)) return at;
  throw std::bad_alloc();
}
void operator delete(void* at) noexcept { std::free(at); }
void operator delete(void* at, size_t) noexcept { std::free(at); }

namespace tern::test {

AllocationWatch::AllocationWatch() { largest_bytes = total_bytes = 0; }
size_t AllocationWatch::largest() const { return largest_bytes; }
size_t AllocationWatch::total() const { return total_bytes; }

}  // namespace tern::test
