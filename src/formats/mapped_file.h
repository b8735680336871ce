// A file mapped read-only into memory. Owner: the Checkpoint. Thread-safe after construction.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace tern {

class MappedFile {
 public:
  // Throws a bad-input error when the file is missing, not a regular file, or cannot be mapped. An empty file maps to
  // no bytes.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }
  const std::string& path() const { return path_; }
  // When the contents last changed as the file system knows it, of the very file that is mapped.
  int64_t modified_ns() const { return modified_ns_; }
  // Gives the pages wholly inside `part` (a sub-span of bytes()) back to the system; reading them again refaults.
  void release(std::span<const std::byte> part) const;

 private:
  std::string path_;
  int64_t modified_ns_ = 0;
  std::span<const std::byte> bytes_;
};

}  // namespace tern
