#include "engine/runner/packed_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

#include "core/checksum.h"

namespace tern {
namespace {

constexpr std::string_view kMagic = "TERNPACK";
// Of the layout of this file. What the weights look like is in the identity: kernels, layouts, shapes.
constexpr uint32_t kVersion = 1;
constexpr uint64_t kPage = 4096;

uint64_t rounded_up(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

template <typename T>
void append(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

bool read_fully(int fd, char* to, uint64_t bytes, uint64_t offset) {
  while (bytes > 0) {
    const ssize_t got = ::pread(fd, to, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got;
    offset += static_cast<uint64_t>(got);
    bytes -= static_cast<uint64_t>(got);
  }
  return true;
}

bool write_fully(int fd, const char* from, uint64_t bytes, uint64_t offset) {
  while (bytes > 0) {
    const ssize_t put = ::pwrite(fd, from, bytes, static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    from += put;
    offset += static_cast<uint64_t>(put);
    bytes -= static_cast<uint64_t>(put);
  }
  return true;
}

}  // namespace

PackedFileHandle::~PackedFileHandle() { ::close(fd_); }

uint64_t PackedContents::block_bytes(uint64_t block) const {
  return std::min(kBlockBytes, data_bytes - block * kBlockBytes);
}

std::string PackedContents::head() const {
  std::string bytes(kMagic);
  append(bytes, kVersion);
  append(bytes, static_cast<uint32_t>(kBlockBytes));
  append(bytes, data_bytes);
  append(bytes, static_cast<uint64_t>(identity.size()));
  bytes += identity;
  bytes.resize(rounded_up(bytes.size(), 8));
  return bytes;
}

uint64_t PackedContents::data_offset() const {
  return rounded_up(head().size() + (blocks() + 1) * sizeof(uint64_t), kPage);
}

std::unique_ptr<PackedReader> PackedReader::open(const std::filesystem::path& path, const PackedContents& contents,
                                                 std::string& reason) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    reason = errno == ENOENT ? "none yet" : std::string("cannot be opened: ") + std::strerror(errno);
    return nullptr;
  }
  std::unique_ptr<PackedReader> reader(new PackedReader(fd, contents));
  if (!reader->read_head(reason)) return nullptr;
  return reader;
}

bool PackedReader::read_head(std::string& reason) {
  const std::string expected = contents_.head();
  std::string found(expected.size() + (contents_.blocks() + 1) * sizeof(uint64_t), '\0');
  struct stat info{};
  const bool readable = ::fstat(file_.get(), &info) == 0 && S_ISREG(info.st_mode);
  if (!readable || !read_fully(file_.get(), found.data(), expected.size(), 0) || !found.starts_with(expected)) {
    reason = "of another version of the model or of tern";
    return false;
  }
  if (static_cast<uint64_t>(info.st_size) != contents_.file_bytes()) {
    reason = "cut short";
    return false;
  }
  const uint64_t rest = found.size() - expected.size();
  uint64_t sum = 0;
  if (read_fully(file_.get(), found.data() + expected.size(), rest, expected.size())) {
    std::memcpy(&sum, found.data() + found.size() - sizeof sum, sizeof sum);
  }
  found.resize(found.size() - sizeof sum);
  if (sum != checksum64(found)) {
    reason = "damaged";
    return false;
  }
  checksums_.resize(contents_.blocks());
  std::memcpy(checksums_.data(), found.data() + expected.size(), checksums_.size() * sizeof(uint64_t));
  data_offset_ = contents_.data_offset();
  return true;
}

bool PackedReader::read(uint64_t block, std::byte* to) const {
  const uint64_t bytes = contents_.block_bytes(block);
  return read_fully(file_.get(), reinterpret_cast<char*>(to), bytes,
                    data_offset_ + block * PackedContents::kBlockBytes) &&
         checksum64({to, bytes}) == checksums_[block];
}

void PackedReader::forget(uint64_t block) const {
  ::posix_fadvise(file_.get(), static_cast<off_t>(data_offset_ + block * PackedContents::kBlockBytes),
                  static_cast<off_t>(contents_.block_bytes(block)), POSIX_FADV_DONTNEED);
}

void PackedReader::touch() const { ::futimens(file_.get(), nullptr); }  // in vain where the file is somebody else's

PackedWriter::PackedWriter(int fd, const std::filesystem::path& path, PackedContents contents)
    : file_(fd), path_(path), partial_(path.string() + ".partial"), contents_(std::move(contents)) {
  data_offset_ = contents_.data_offset();
  checksums_.resize(contents_.blocks());
}

std::unique_ptr<PackedWriter> PackedWriter::begin(const std::filesystem::path& path, PackedContents contents,
                                                  std::string& reason) {
  const std::string partial = path.string() + ".partial";
  const int fd = ::open(partial.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    reason = std::strerror(errno);
    return nullptr;
  }
  std::unique_ptr<PackedWriter> writer(new PackedWriter(fd, path, std::move(contents)));
  if (!writer->lock_and_reserve(reason)) return nullptr;
  return writer;
}

bool PackedWriter::lock_and_reserve(std::string& reason) {
  if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) reason = std::strerror(errno);  // else somebody else is at it
    return false;
  }
  // Between open() and flock() another process may have finished this very file and given it its name.
  struct stat mine{}, named{};
  owned_ = ::fstat(file_.get(), &mine) == 0 && ::stat(partial_.c_str(), &named) == 0 && mine.st_ino == named.st_ino &&
           mine.st_dev == named.st_dev;
  if (!owned_) return false;
  const bool sized =
      ::ftruncate(file_.get(), 0) == 0 && ::ftruncate(file_.get(), static_cast<off_t>(contents_.file_bytes())) == 0;
  // Where the file system cannot reserve space, a full disk shows while writing.
  const bool reserved =
      sized && (::fallocate(file_.get(), 0, 0, static_cast<off_t>(contents_.file_bytes())) == 0 || errno == EOPNOTSUPP);
  if (!reserved) reason = std::strerror(errno);
  return reserved;
}

PackedWriter::~PackedWriter() {
  if (owned_ && !named_) ::unlink(partial_.c_str());
}

bool PackedWriter::claim(const std::byte* data) {
  const uint64_t block = next_.fetch_add(1);
  if (block >= contents_.blocks()) return false;
  if (!failed_) write_block(block, data);
  if (written_.fetch_add(1) + 1 == contents_.blocks() && !failed_) finish();
  return true;
}

void PackedWriter::write_block(uint64_t block, const std::byte* data) {
  const std::byte* from = data + block * PackedContents::kBlockBytes;
  const uint64_t bytes = contents_.block_bytes(block);
  checksums_[block] = checksum64({from, bytes});
  if (!write_fully(file_.get(), reinterpret_cast<const char*>(from), bytes,
                   data_offset_ + block * PackedContents::kBlockBytes)) {
    failed_ = true;
  }
}

void PackedWriter::finish() {
  std::string head = contents_.head();
  head.append(reinterpret_cast<const char*>(checksums_.data()), checksums_.size() * sizeof(uint64_t));
  append(head, checksum64(head));
  named_ = write_fully(file_.get(), head.data(), head.size(), 0) && ::rename(partial_.c_str(), path_.c_str()) == 0;
}

}  // namespace tern
