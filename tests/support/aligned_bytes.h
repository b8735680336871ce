// Bytes on a 64-byte boundary, as kernels want their packed matrices and workspaces; not initialized.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

namespace tern::test {

class AlignedBytes {
 public:
  explicit AlignedBytes(uint64_t bytes) : data_(new(std::align_val_t(64)) std::byte[bytes]) {}
  ~AlignedBytes() { ::operator delete[](data_, std::align_val_t(64)); }
  AlignedBytes(const AlignedBytes&) = delete;
  AlignedBytes& operator=(const AlignedBytes&) = delete;
  std::byte* data() { return data_; }

 private:
  std::byte* data_;
};

}  // namespace tern::test
