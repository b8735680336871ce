// A model as it lies in files: metadata and typed, named, bounds-checked views of the tensors. Nothing is copied: views
// point into the mapping, which the Checkpoint owns. Immutable after open(); safe to read from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/mapped_file.h"
#include "formats/metadata.h"
#include "quant/format.h"

namespace tern {

struct TensorInfo {
  std::string_view name;
  Format format = Format::kF32;
  std::vector<int64_t> shape;  // outermost first: a weight is [rows = outputs, cols = inputs], a norm is [cols]
  std::span<const std::byte> data;
  // How many rows and columns share a block's scale, where those are more than the block's: of F8_E4M3.
  int64_t scale_rows = 1, scale_cols = 0;

  int64_t elements() const;
  int64_t rows() const { return shape.size() < 2 ? 1 : elements() / shape.back(); }
  int64_t cols() const { return shape.empty() ? 1 : shape.back(); }
};

// A tensor of a type that no weight is by itself: codes, zeros and indices of a quantized weight, 8-bit floats that are
// scaled elsewhere. formats/quantized makes weights of them.
struct StoredTensor {
  std::string_view name;
  std::string_view dtype;      // as safetensors spell it: "I32", "F8_E4M3"
  std::vector<int64_t> shape;  // outermost first
  std::span<const std::byte> data;
};

enum class CheckpointKind { kGguf, kHuggingFace };

class Checkpoint {
 public:
  CheckpointKind kind = CheckpointKind::kGguf;
  std::string path;  // as given to open_checkpoint
  Metadata metadata;
  std::vector<TensorInfo> tensors;   // in file order
  std::vector<StoredTensor> stored;  // likewise
  std::vector<std::string> notes;    // what opening it decided, a line each
  std::string left_out;              // of a folder with more than text, a line (text_part.h)
  std::vector<std::shared_ptr<MappedFile>> files;
  // Storage behind string views of metadata that do not lie in a mapping (JSON strings).
  std::vector<std::shared_ptr<const std::string>> strings;

  const TensorInfo* find(std::string_view tensor_name) const;
  const StoredTensor* find_stored(std::string_view tensor_name) const;
  bool holds(std::string_view tensor_name) const { return find(tensor_name) || find_stored(tensor_name); }
  // As find(); throws a bad-input line naming the file and the tensor when it is absent.
  const TensorInfo& tensor(std::string_view tensor_name) const;
  void index_tensors();  // called by readers when `tensors` and `stored` are complete; refuses duplicate names
  uint64_t tensor_bytes() const;
  // Whether the tensors' bytes are in memory of our own and nowhere else: what is released of them is gone.
  bool in_memory() const;
  // Tells the system that the file pages behind `tensor` are not needed again (after packing).
  void release_pages(const TensorInfo& tensor) const;
  // The same of all pages, which come back when they are read: headers, and what faults have mapped around what was
  // read. Nothing happens to files in memory.
  void release_pages() const;

 private:
  std::unordered_map<std::string_view, size_t> by_name_;  // stored tensors behind the others
};

// Opens a GGUF file, a .safetensors file with config.json beside it, or a folder with both. Sniffs the contents, not
// the name. Throws bad-input errors of one line that name file, field and reason.
std::shared_ptr<const Checkpoint> open_checkpoint(const std::string& path);

}  // namespace tern
