#include "formats/gguf_writer.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/checked.h"
#include "core/error.h"
#include "core/limits.h"
#include "formats/tensor_extent.h"

namespace tern {
namespace {

constexpr uint64_t kAlignment = 32;  // the format's default, so general.alignment need not be written
enum ValueType : uint32_t { kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kString = 8, kArray = 9 };

void append_bytes(std::vector<std::byte>& to, const void* from, size_t bytes) {
  const size_t at = to.size();
  to.resize(at + bytes);
  if (bytes > 0) std::memcpy(to.data() + at, from, bytes);
}

template <typename T>
void append_number(std::vector<std::byte>& to, T value) {
  append_bytes(to, &value, sizeof(T));
}

void append_text(std::vector<std::byte>& to, std::string_view text) {
  append_number(to, uint64_t{text.size()});
  append_bytes(to, text.data(), text.size());
}

uint64_t aligned(uint64_t bytes) { return Checked(bytes).aligned_up(kAlignment).value_or(UINT64_MAX); }

}  // namespace

template <typename T>
void GgufLayout::put(T value) {
  append_number(pairs_, value);
}

void GgufLayout::text(std::string_view value) {
  if (value.size() > Limits::kStringBytes) {
    bad_input(
        fmt::format("{}: a string of {} bytes exceeds the limit of {}", source_, value.size(), Limits::kStringBytes));
  }
  append_text(pairs_, value);
}

void GgufLayout::key(std::string_view key, uint32_t type) {
  if (key.empty() || !keys_.emplace(key).second) {
    bad_input(fmt::format("{}: key '{}' is empty or appears twice", source_, printable(key)));
  }
  if (++pair_count_ > Limits::kMetadataEntries) {
    bad_input(fmt::format("{}: metadata count exceeds the limit of {}", source_, Limits::kMetadataEntries));
  }
  text(key);
  put(type);
}

void GgufLayout::integer(std::string_view key_text, uint64_t value) {
  if (value > UINT32_MAX) bad_input(fmt::format("{}: {}: {} exceeds 32 bits", source_, printable(key_text), value));
  key(key_text, kU32);
  put(static_cast<uint32_t>(value));
}

void GgufLayout::number(std::string_view key_text, double value) {
  key(key_text, kF32);
  put(static_cast<float>(value));
}

void GgufLayout::boolean(std::string_view key_text, bool value) {
  key(key_text, kBool);
  put(static_cast<uint8_t>(value));
}

void GgufLayout::string(std::string_view key_text, std::string_view value) {
  key(key_text, kString);
  text(value);
}

void GgufLayout::array(std::string_view key_text, uint32_t type, uint64_t count) {
  elements_ += count;
  if (count > Limits::kArrayElements || elements_ > Limits::kArrayElements) {
    bad_input(fmt::format("{}: {}: array elements exceed the limit of {}", source_, printable(key_text),
                          Limits::kArrayElements));
  }
  key(key_text, kArray);
  put(type);
  put(count);
}

void GgufLayout::strings(std::string_view key_text, std::span<const std::string> values) {
  array(key_text, kString, values.size());
  for (const std::string& value : values) text(value);
}

void GgufLayout::integers(std::string_view key_text, std::span<const int32_t> values) {
  array(key_text, kI32, values.size());
  for (const int32_t value : values) put(value);
}

uint64_t GgufLayout::tensor(std::string_view name, Format format, std::span<const int64_t> shape) {
  const std::string where = fmt::format("{}: tensor {}", source_, printable(name, Limits::kTensorNameBytes));
  if (name.empty() || name.size() > Limits::kTensorNameBytes || !names_.emplace(name).second) {
    bad_input(where + ": its name is empty, too long or appears twice");
  }
  if (placed_.size() >= Limits::kTensors) bad_input(fmt::format("{}: more than {} tensors", source_, Limits::kTensors));
  if (shape.empty()) bad_input(where + ": it has no dimension");
  std::vector<uint64_t> dims;
  for (const int64_t dim : shape) dims.push_back(dim < 0 ? 0 : static_cast<uint64_t>(dim));  // 0 is refused next
  std::vector<int64_t> checked;
  const uint64_t bytes = checked_shape(where, format, dims, checked);
  const Checked end = (Checked(data_bytes_) + Checked(bytes)).aligned_up(kAlignment);
  if (!end.at_most(INT64_MAX)) bad_input(where + ": the file's size overflows");
  append_text(infos_, name);
  append_number(infos_, static_cast<uint32_t>(dims.size()));
  std::for_each(dims.rbegin(), dims.rend(), [&](uint64_t dim) { append_number(infos_, dim); });
  append_number(infos_, format_info(format).ggml_type);
  append_number(infos_, data_bytes_);
  placed_.push_back({data_bytes_, bytes});
  data_bytes_ = end.value_or(0);
  return bytes;
}

std::vector<std::byte> GgufLayout::header() const {
  std::vector<std::byte> out;
  append_bytes(out, "GGUF", 4);
  append_number(out, uint32_t{3});
  append_number(out, uint64_t{placed_.size()});
  append_number(out, pair_count_);
  append_bytes(out, pairs_.data(), pairs_.size());
  append_bytes(out, infos_.data(), infos_.size());
  out.resize(aligned(out.size()));
  return out;
}

std::vector<GgufLayout::Extent> GgufLayout::extents() const {
  constexpr uint64_t kCounts = 4 + 4 + 8 + 8;
  const uint64_t begin = aligned(kCounts + pairs_.size() + infos_.size());
  std::vector<Extent> out = placed_;
  for (Extent& extent : out) extent.begin += begin;
  return out;
}

uint64_t GgufLayout::file_bytes() const {
  constexpr uint64_t kCounts = 4 + 4 + 8 + 8;
  return aligned(kCounts + pairs_.size() + infos_.size()) + data_bytes_;
}

GgufFile::GgufFile(const std::string& path, std::vector<GgufLayout::Extent> extents, uint64_t file_bytes)
    : path_(path), partial_(path + ".partial"), extents_(std::move(extents)), file_bytes_(file_bytes) {
  fd_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) {
    fail(ErrorCode::kFailed, fmt::format("[gguf] cannot create {}: {}", printable(partial_), std::strerror(errno)));
  }
}

// The file is open before anything is written, so that a failure here runs the destructor.
GgufFile::GgufFile(const std::string& path, const GgufLayout& layout)
    : GgufFile(path, layout.extents(), layout.file_bytes()) {
  write_all(layout.header());
}

GgufFile::~GgufFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(partial_.c_str());
}

void GgufFile::write_all(std::span<const std::byte> bytes) {
  offset_ += bytes.size();
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      fail(ErrorCode::kFailed, fmt::format("[gguf] cannot write {}: {}", printable(partial_), std::strerror(errno)));
    }
    bytes = bytes.subspan(static_cast<size_t>(put));
  }
}

void GgufFile::pad_to(uint64_t offset) {
  constexpr std::array<std::byte, kAlignment> kZeros{};
  TERN_CHECK(offset >= offset_ && offset - offset_ < kAlignment, path_);
  write_all(std::span(kZeros).first(offset - offset_));
}

void GgufFile::append(std::span<const std::byte> bytes) {
  TERN_CHECK(tensor_ < extents_.size(), path_);
  const GgufLayout::Extent& extent = extents_[tensor_];
  if (offset_ < extent.begin) pad_to(extent.begin);
  TERN_CHECK(bytes.size() <= extent.begin + extent.bytes - offset_, path_);
  write_all(bytes);
  if (offset_ == extent.begin + extent.bytes) ++tensor_;
}

void GgufFile::finish() {
  TERN_CHECK(tensor_ == extents_.size(), path_);
  pad_to(file_bytes_);
  const bool closed = ::close(fd_) == 0;
  fd_ = -1;
  if (closed && std::rename(partial_.c_str(), path_.c_str()) == 0) return;
  const int reason = errno;
  ::unlink(partial_.c_str());
  fail(ErrorCode::kFailed, fmt::format("[gguf] cannot write {}: {}", printable(path_), std::strerror(reason)));
}

}  // namespace tern
