#include "support/allocation_watch.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<size_t> largest_bytes{0};
std::atomic<size_t> total_bytes{0};

}  // namespace

void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  total_bytes.fetch_add(bytes, std::memory_order_relaxed);
  size_t largest = largest_bytes.load(std::memory_order_relaxed);
  while (largest < bytes && !largest_bytes.compare_exchange_weak(largest, bytes, std::memory_order_relaxed)) {
  }
  return std::malloc(bytes == 0 ? 1 : bytes);
}
void* operator new(size_t bytes) {
  if (void* at = operator new(bytes, std::nothrow)) return at;
  throw std::bad_alloc();
}
void operator delete(void* at) noexcept { std::free(at); }
void operator delete(void* at, size_t) noexcept { std::free(at); }

namespace tern::test {

AllocationWatch::AllocationWatch() {
  largest_bytes = 0;
  total_bytes = 0;
}
size_t AllocationWatch::largest() const { return largest_bytes; }
size_t AllocationWatch::total() const { return total_bytes; }

}  // namespace tern::test
