#include "formats/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "core/checked.h"
#include "core/error.h"

namespace tern {
namespace {

constexpr size_t kPathBytes = 4096;  // PATH_MAX: a path is shown whole

[[noreturn]] void refuse(const std::string& path, const std::string& reason) {
  bad_input("[file] " + printable(path, kPathBytes) + ": " + reason);
}

// A descriptor that closes itself; the mapping outlives it.
class Descriptor {
 public:
  // O_NONBLOCK: a named pipe without a writer is refused below instead of waited for.
  explicit Descriptor(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (fd_ < 0) refuse(path, std::string("cannot be opened: ") + std::strerror(errno));
  }
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  // The system would see only what precedes a NUL.
  if (path.find('\0') != std::string::npos) refuse(path, "the path contains a NUL byte");
  const Descriptor file(path);
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) refuse(path, std::string("cannot be examined: ") + std::strerror(errno));
  if (!S_ISREG(info.st_mode)) refuse(path, "is not a regular file");
  // Unsigned: a file may carry any time, and only equality matters.
  modified_ns_ = static_cast<int64_t>(static_cast<uint64_t>(info.st_mtim.tv_sec) * 1'000'000'000 +
                                      static_cast<uint64_t>(info.st_mtim.tv_nsec));
  if (info.st_size == 0) return;
  const auto size = static_cast<size_t>(info.st_size);
  void* at = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (at == MAP_FAILED) refuse(path, std::string("cannot be mapped: ") + std::strerror(errno));
  // A fault maps 64 KiB around it then, not 2 MiB where the file cache has such pages: of what is read once, or a row
  // here and there, little stays resident. A hint: failure changes nothing.
  ::madvise(at, size, MADV_NOHUGEPAGE);
  bytes_ = {static_cast<const std::byte*>(at), size};
}

// Without a reservation: a description of a model far larger than the memory can be opened and looked at.
MappedFile::MappedFile(const std::string& name, uint64_t bytes) : path_(name), memory_(true), sealed_(false) {
  if (bytes == 0) return;
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* at = bytes > SIZE_MAX / 2 ? MAP_FAILED : ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, kFlags, -1, 0);
  if (at == MAP_FAILED) {
    fail(ErrorCode::kResource,
         "[memory] " + printable(name, kPathBytes) + ": " + std::to_string(bytes) + " bytes are not available");
  }
  ::madvise(at, bytes, MADV_HUGEPAGE);  // a hint: failure changes nothing
  bytes_ = {static_cast<const std::byte*>(at), bytes};
}

std::span<std::byte> MappedFile::writable() {
  TERN_CHECK(memory_ && !sealed_, path_);
  return {const_cast<std::byte*>(bytes_.data()), bytes_.size()};
}

void MappedFile::seal() {
  sealed_ = true;
  if (!bytes_.empty()) ::mprotect(const_cast<std::byte*>(bytes_.data()), bytes_.size(), PROT_READ);
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void MappedFile::release(std::span<const std::byte> part) const {
  const auto base = reinterpret_cast<uintptr_t>(bytes_.data());
  const auto from = reinterpret_cast<uintptr_t>(part.data());
  if (part.empty()) return;
  TERN_CHECK(from >= base && part.size() <= bytes_.size() && from - base <= bytes_.size() - part.size(), path_);
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t begin = Checked(from).aligned_up(page).value_or(UINT64_MAX);
  // The last page of the file counts as whole although the file may end inside it.
  const bool at_end = from + part.size() == base + bytes_.size();
  const uint64_t end =
      at_end ? Checked(from + part.size()).aligned_up(page).value_or(0) : (from + part.size()) / page * page;
  if (begin >= end) return;
  // A hint: a private read-only mapping refaults from the file, so failure changes nothing.
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  if (memory_) ::mprotect(reinterpret_cast<void*>(begin), end - begin, PROT_NONE);
}

}  // namespace tern
