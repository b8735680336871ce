// Writes GGUF version 3: what a file says about itself and where its tensors lie (GgufLayout), and the file, tensor
// bytes streamed behind that header (GgufFile).
//
// What the reader would refuse is refused here, with the same limits: sizes that overflow, rows that are not whole
// blocks, names that appear twice. Owner: whoever writes; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "quant/format.h"

namespace tern {

class GgufLayout {
 public:
  explicit GgufLayout(std::string path) : source_("[gguf] " + std::move(path)) {}  // for messages

  // Metadata, in the order of the calls. Integers are u32 and numbers f32, which is what readers expect of nearly all
  // keys.
  void integer(std::string_view key, uint64_t value);
  void number(std::string_view key, double value);
  void boolean(std::string_view key, bool value);
  void string(std::string_view key, std::string_view value);
  void strings(std::string_view key, std::span<const std::string> values);
  void integers(std::string_view key, std::span<const int32_t> values);

  // `shape` is outermost first, as in TensorInfo. Tensors lie in the order of the calls. Returns the tensor's bytes.
  uint64_t tensor(std::string_view name, Format format, std::span<const int64_t> shape);

  struct Extent {
    uint64_t begin, bytes;  // from the start of the file
  };
  // Everything before the first tensor's bytes, padded.
  std::vector<std::byte> header() const;
  std::vector<Extent> extents() const;  // in the order of the tensors
  uint64_t file_bytes() const;          // the last tensor's end, padded
  const std::string& source() const { return source_; }

 private:
  void key(std::string_view key, uint32_t type);
  void array(std::string_view key, uint32_t type, uint64_t count);
  void text(std::string_view value);
  template <typename T>
  void put(T value);

  std::string source_;
  std::vector<std::byte> pairs_, infos_;
  uint64_t pair_count_ = 0, elements_ = 0, data_bytes_ = 0;
  std::vector<Extent> placed_;  // begin counted from the start of the tensor data
  std::unordered_set<std::string> keys_, names_;
};

// A file that takes its name only when it is whole: written beside it, renamed by finish(), removed otherwise.
class GgufFile {
 public:
  // Writes the header. Throws Error{kFailed} naming the path when the system refuses, as the others do.
  GgufFile(const std::string& path, const GgufLayout& layout);
  ~GgufFile();
  GgufFile(const GgufFile&) = delete;
  GgufFile& operator=(const GgufFile&) = delete;

  // The next bytes of the tensors, in order and in pieces of any size that do not reach over a tensor's end; padding
  // between tensors is added.
  void append(std::span<const std::byte> bytes);
  void finish();

 private:
  GgufFile(const std::string& path, std::vector<GgufLayout::Extent> extents, uint64_t file_bytes);  // opens
  void write_all(std::span<const std::byte> bytes);
  void pad_to(uint64_t offset);

  std::string path_, partial_;
  std::vector<GgufLayout::Extent> extents_;
  uint64_t file_bytes_, offset_ = 0;
  size_t tensor_ = 0;  // whose bytes come next
  int fd_ = -1;
};

}  // namespace tern
