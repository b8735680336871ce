#include <sys/mman.h>

#include <string>

#include "core/error.h"
#include "device/buffer.h"

namespace tern {
namespace {
constexpr uint64_t kPage = 4096;
}

// Anonymous mappings even for small buffers: there are few of them, and they are page-aligned and zeroed for free.
Buffer::Buffer(uint64_t bytes, const char* what, PageHint hint) {
  if (bytes == 0) return;
  if (bytes > UINT64_MAX - kPage) fail(ErrorCode::kResource, std::string("[memory] ") + what + ": size overflows");
  const uint64_t mapped = (bytes + kPage - 1) / kPage * kPage;
  void* at = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) {
    fail(ErrorCode::kResource,
         std::string("[memory] ") + what + ": " + std::to_string(bytes) + " bytes are not available");
  }
  if (hint == PageHint::kHuge) ::madvise(at, mapped, MADV_HUGEPAGE);  // a hint: failure changes nothing
  data_ = static_cast<std::byte*>(at);
  bytes_ = bytes;
}

Buffer::~Buffer() {
  if (data_ != nullptr) ::munmap(data_, (bytes_ + kPage - 1) / kPage * kPage);
}

}  // namespace tern
