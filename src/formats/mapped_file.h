// A file mapped read-only into memory, or memory in its place that the program fills itself. Owner: the Checkpoint.
// Thread-safe after construction and seal().
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace tern {

class MappedFile {
 public:
  // Throws a bad-input error when the file is missing, not a regular file, or cannot be mapped. An empty file maps to
  // no bytes.
  explicit MappedFile(const std::string& path);
  // `bytes` of zeroed memory, resident as far as written, to be filled through writable() and then sealed; `name` is
  // for messages. Throws Error{kResource} when there is no such room.
  MappedFile(const std::string& name, uint64_t bytes);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }
  const std::string& path() const { return path_; }
  // When the contents last changed as the file system knows it, of the very file that is mapped.
  int64_t modified_ns() const { return modified_ns_; }
  bool in_memory() const { return memory_; }  // of our own, not of a file
  std::span<std::byte> writable();            // of memory that is not sealed
  void seal();                                // read-only from now on
  // Gives the pages wholly inside `part` (a sub-span of bytes()) back to the system. Reading a file's again refaults;
  // memory's are gone, and reading them ends the process rather than answering zeros.
  void release(std::span<const std::byte> part) const;

 private:
  std::string path_;
  int64_t modified_ns_ = 0;
  std::span<const std::byte> bytes_;
  bool memory_ = false;
  bool sealed_ = true;
};

}  // namespace tern
