// Touches everything that a loaded checkpoint promises, so that a sanitizer sees a view that reaches outside the file.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <span>
#include <vector>

#include "formats/checkpoint.h"

namespace tern {

// `bytes`: the whole file. Aborts on a view outside of it.
inline void walk_tensors(const Checkpoint& checkpoint, std::span<const std::byte> bytes) {
  for (const TensorInfo& tensor : checkpoint.tensors) {
    const FormatInfo& info = format_info(tensor.format);
    const auto size = encoded_bytes(tensor.format, static_cast<uint64_t>(tensor.elements()));
    if (size != tensor.data.size() || tensor.rows() * tensor.cols() != tensor.elements()) std::abort();
    if (tensor.data.data() < bytes.data() || tensor.data.data() + *size > bytes.data() + bytes.size()) std::abort();
    if (checkpoint.find(tensor.name) != &tensor) std::abort();
    std::vector<float> block(info.block_elements);
    for (const size_t at : {size_t{0}, tensor.data.size() - info.block_bytes}) {  // the first block and the last
      info.decode(tensor.data.data() + at, 1, block.data());
    }
  }
}

}  // namespace tern
