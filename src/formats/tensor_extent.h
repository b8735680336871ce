// Where a tensor's bytes lie in its file, and the checks that every reader makes on that. Internal to formats.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quant/format.h"

namespace tern {

struct TensorExtent {
  std::string_view name;
  uint64_t begin = 0, end = 0;  // bytes from the start of the data section
};

// Turns dimensions (outermost first) into a shape and the bytes that the tensor takes. Refuses no or too many
// dimensions, a dimension of 0, a product beyond 63 bits and a row that is not whole blocks; `where` begins the
// message.
uint64_t checked_shape(const std::string& where, Format format, std::span<const uint64_t> dims,
                       std::vector<int64_t>& shape);

// The same of a type whose elements take `element_bytes` each.
uint64_t checked_shape(const std::string& where, uint32_t element_bytes, std::span<const uint64_t> dims,
                       std::vector<int64_t>& shape);

// Refuses two tensors that share a byte. Reorders `extents` by position.
void refuse_overlaps(const std::string& source, std::vector<TensorExtent>& extents);

}  // namespace tern
