// One sidecar: the packed weights of a model in a file, so that the next start reads them instead of packing anew.
//
//   "TERNPACK", u32 version, u32 bytes of a block, u64 bytes of the weights, u64 bytes of the identity; the identity: a
//   text of all that the bytes depend on; zeros up to 8; u64 checksum of each block of the weights; u64 checksum of all
//   before; zeros up to a page; the weights as they lie in memory, page-aligned.
//
// Nothing of it is parsed. The reader knows beforehand what the head must be, byte for byte, and how long the file is;
// what differs (another version, a stale model, a file cut short) is a file that is not there. Every byte is covered by
// a checksum, so that a file needs no fsync: what a crash leaves of it is noticed as any other damage.
//
// A writer fills NAME.partial under a lock and renames it: readers see whole files only, and of two writers one gives
// up. What a killed process leaves is filled again by the next. Reader: any thread after open(). Writer: claim() by
// several threads at once.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tern {

// A file descriptor that closes itself.
class PackedFileHandle {
 public:
  explicit PackedFileHandle(int fd) : fd_(fd) {}
  ~PackedFileHandle();
  PackedFileHandle(const PackedFileHandle&) = delete;
  PackedFileHandle& operator=(const PackedFileHandle&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// What a sidecar is of, and where what lies in it.
struct PackedContents {
  // The unit of checksums and of work; small enough that a block read is in the second-level cache when it is summed.
  static constexpr uint64_t kBlockBytes = 256 << 10;

  std::string identity;
  uint64_t data_bytes = 0;

  uint64_t blocks() const { return (data_bytes + kBlockBytes - 1) / kBlockBytes; }
  uint64_t block_bytes(uint64_t block) const;
  std::string head() const;  // the bytes before the checksums
  uint64_t data_offset() const;
  uint64_t file_bytes() const { return data_offset() + data_bytes; }
};

class PackedReader {
 public:
  // The sidecar at `path` when it is of `contents` and its head is undamaged; else null, and `reason` says why.
  static std::unique_ptr<PackedReader> open(const std::filesystem::path& path, const PackedContents& contents,
                                            std::string& reason);
  // Block `block` of the weights into `to`; false when it cannot be read or its checksum differs.
  bool read(uint64_t block, std::byte* to) const;
  // The system need not keep the block in its file cache.
  void forget(uint64_t block) const;
  // Marks the file as used now, for who removes the least recently used ones.
  void touch() const;

 private:
  PackedReader(int fd, const PackedContents& contents) : file_(fd), contents_(contents) {}
  bool read_head(std::string& reason);

  PackedFileHandle file_;
  PackedContents contents_;
  uint64_t data_offset_ = 0;
  std::vector<uint64_t> checksums_;  // [blocks]
};

class PackedWriter {
 public:
  // Reserves the file's space. Null when that fails or somebody else is writing it, which leaves `reason` empty.
  static std::unique_ptr<PackedWriter> begin(const std::filesystem::path& path, PackedContents contents,
                                             std::string& reason);
  // Removes what is unfinished.
  ~PackedWriter();
  // Writes one more block of `data`, the last one also the head and the name; false when none is left to claim. Any
  // threads together.
  bool claim(const std::byte* data);

 private:
  PackedWriter(int fd, const std::filesystem::path& path, PackedContents contents);
  bool lock_and_reserve(std::string& reason);
  void write_block(uint64_t block, const std::byte* data);
  void finish();

  PackedFileHandle file_;
  std::filesystem::path path_, partial_;
  PackedContents contents_;
  uint64_t data_offset_ = 0;
  std::vector<uint64_t> checksums_;  // [blocks]
  std::atomic<uint64_t> next_{0}, written_{0};
  std::atomic<bool> failed_{false};
  bool owned_ = false, named_ = false;
};

}  // namespace tern
