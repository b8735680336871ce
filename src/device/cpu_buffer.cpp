#include <sys/mman.h>

#include <string>

#include "core/error.h"
#include "device/buffer.h"

namespace tern {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kHugePage = 2 << 20;

uint64_t whole_pages(uint64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

// A mapping that begins on a huge page, where the system would otherwise put 4 KiB pages up to the next border.
void* map_aligned(uint64_t bytes, uint64_t small_bytes) {
  void* at = ::mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return at;
  const auto from = reinterpret_cast<uint64_t>(at);
  const uint64_t begin = (from + kHugePage - 1) / kHugePage * kHugePage;
  if (begin > from) ::munmap(at, begin - from);
  ::munmap(reinterpret_cast<void*>(begin + bytes), from + kHugePage - begin);
  // Hints: failure changes nothing.
  if (small_bytes > 0) ::madvise(reinterpret_cast<void*>(begin), small_bytes, MADV_NOHUGEPAGE);
  ::madvise(reinterpret_cast<void*>(begin + small_bytes), bytes - small_bytes, MADV_HUGEPAGE);
  return reinterpret_cast<void*>(begin);
}

}  // namespace

// Anonymous mappings even for small buffers: there are few of them, and they are page-aligned and zeroed for free.
Buffer::Buffer(uint64_t bytes, const char* what, PageHint hint) {
  if (bytes == 0) return;
  if (bytes > UINT64_MAX - 2 * kHugePage)
    fail(ErrorCode::kResource, std::string("[memory] ") + what + ": size overflows");
  const uint64_t mapped = whole_pages(bytes);
  const bool huge = hint != PageHint::kSmall && mapped >= kHugePage;
  const uint64_t small = hint == PageHint::kHugeBehindFirst ? kHugePage : 0;
  void* at = huge ? map_aligned(mapped, small)
                  : ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) {
    fail(ErrorCode::kResource,
         std::string("[memory] ") + what + ": " + std::to_string(bytes) + " bytes are not available");
  }
  data_ = static_cast<std::byte*>(at);
  bytes_ = bytes;
}

Buffer::~Buffer() {
  if (data_ != nullptr) ::munmap(data_, whole_pages(bytes_));
}

}  // namespace tern
