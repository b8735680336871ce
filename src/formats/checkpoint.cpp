#include "formats/checkpoint.h"

#include <fmt/core.h>

#include <algorithm>
#include <functional>

#include "core/error.h"

namespace tern {

// Readers have checked the product.
int64_t TensorInfo::elements() const {
  int64_t count = 1;
  for (const int64_t dim : shape) count *= dim;
  return count;
}

const TensorInfo* Checkpoint::find(std::string_view tensor_name) const {
  const auto found = by_name_.find(tensor_name);
  return found == by_name_.end() || found->second >= tensors.size() ? nullptr : &tensors[found->second];
}

const StoredTensor* Checkpoint::find_stored(std::string_view tensor_name) const {
  const auto found = by_name_.find(tensor_name);
  if (found == by_name_.end() || found->second < tensors.size()) return nullptr;
  return &stored[found->second - tensors.size()];
}

const TensorInfo& Checkpoint::tensor(std::string_view tensor_name) const {
  if (const TensorInfo* found = find(tensor_name)) return *found;
  if (const StoredTensor* found = find_stored(tensor_name)) {
    bad_input(fmt::format("{}: tensor {} is {}, which nothing in the configuration explains", metadata.source(),
                          printable(tensor_name, 512), found->dtype));
  }
  bad_input(fmt::format("{}: tensor {} is missing", metadata.source(), printable(tensor_name, 512)));
}

void Checkpoint::index_tensors() {
  by_name_.clear();
  by_name_.reserve(tensors.size() + stored.size());
  for (size_t i = 0; i < tensors.size() + stored.size(); ++i) {
    const std::string_view name = i < tensors.size() ? tensors[i].name : stored[i - tensors.size()].name;
    if (by_name_.emplace(name, i).second) continue;
    bad_input(fmt::format("{}: tensor {} appears twice", metadata.source(), printable(name, 512)));
  }
}

uint64_t Checkpoint::tensor_bytes() const {
  uint64_t total = 0;
  for (const TensorInfo& tensor : tensors) total += tensor.data.size();  // parts of files in memory, none twice
  return total;
}

bool Checkpoint::in_memory() const {
  return std::any_of(files.begin(), files.end(), [](const auto& file) { return file->in_memory(); });
}

void Checkpoint::release_pages() const {
  for (const auto& file : files) {
    if (!file->in_memory()) file->release(file->bytes());
  }
}

void Checkpoint::release_pages(const TensorInfo& tensor) const {
  const std::less_equal<const std::byte*> before;  // a total order also between unrelated objects
  for (const auto& file : files) {
    const std::span<const std::byte> whole = file->bytes();
    const std::span<const std::byte> part = tensor.data;
    if (before(whole.data(), part.data()) && before(part.data() + part.size(), whole.data() + whole.size())) {
      file->release(part);
      return;
    }
  }
}

}  // namespace tern
