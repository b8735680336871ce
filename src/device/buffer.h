// Memory that tern reserves at load: weights, workspace, KV pools. Buffer owns; everybody else holds views.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace tern {

enum class PageHint : uint8_t {
  kSmall,            // the system's default pages
  kHuge,             // ask for transparent huge pages: long sequential reads of weights
  kHugeBehindFirst,  // the same, but for the first 2 MiB: of memory that is used from its start, a little costs little
};

class Buffer {
 public:
  Buffer() = default;
  // Zeroed, aligned to 64 bytes (pages when large); pages become resident when first written. Throws Error{kResource}
  // naming `what` and the size when the system has no such memory.
  Buffer(uint64_t bytes, const char* what, PageHint hint = PageHint::kSmall);
  ~Buffer();
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::byte* data() const { return data_; }
  uint64_t bytes() const { return bytes_; }
  float* floats() const { return reinterpret_cast<float*>(data_); }

 private:
  void swap(Buffer& other) {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }
  std::byte* data_ = nullptr;
  uint64_t bytes_ = 0;
};

}  // namespace tern
