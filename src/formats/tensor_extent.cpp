#include "formats/tensor_extent.h"

#include <fmt/core.h>

#include <algorithm>
#include <tuple>

#include "core/checked.h"
#include "core/error.h"
#include "core/limits.h"

namespace tern {

namespace {

// The product of the dimensions, which become `shape`.
uint64_t checked_elements(const std::string& where, std::span<const uint64_t> dims, std::vector<int64_t>& shape) {
  if (dims.size() > Limits::kTensorDims) {
    bad_input(fmt::format("{}: {} dimensions exceed the limit of {}", where, dims.size(), Limits::kTensorDims));
  }
  Checked elements = 1;
  shape.clear();
  shape.reserve(dims.size());
  for (const uint64_t dim : dims) {
    if (dim == 0) bad_input(where + ": a dimension is 0");
    elements = elements * Checked(dim);
    if (!elements.at_most(INT64_MAX)) bad_input(fmt::format("{}: the product of its dimensions overflows", where));
    shape.push_back(static_cast<int64_t>(dim));
  }
  return elements.value_or(0);
}

}  // namespace

uint64_t checked_shape(const std::string& where, Format format, std::span<const uint64_t> dims,
                       std::vector<int64_t>& shape) {
  const uint64_t elements = checked_elements(where, dims, shape);
  const FormatInfo& info = format_info(format);
  const uint64_t columns = dims.empty() ? 1 : dims.back();
  if (columns % info.block_elements != 0) {
    bad_input(fmt::format("{}: rows of {} elements are not whole {} blocks of {}", where, columns, info.name,
                          info.block_elements));
  }
  const std::optional<uint64_t> bytes = encoded_bytes(format, elements);
  if (!bytes) bad_input(fmt::format("{}: its size in bytes overflows", where));
  return *bytes;
}

uint64_t checked_shape(const std::string& where, uint32_t element_bytes, std::span<const uint64_t> dims,
                       std::vector<int64_t>& shape) {
  const Checked bytes = Checked(checked_elements(where, dims, shape)) * Checked(element_bytes);
  if (!bytes.at_most(INT64_MAX)) bad_input(fmt::format("{}: its size in bytes overflows", where));
  return bytes.value_or(0);
}

void refuse_overlaps(const std::string& source, std::vector<TensorExtent>& extents) {
  std::ranges::sort(extents, {}, [](const TensorExtent& e) { return std::tie(e.begin, e.end, e.name); });
  for (size_t i = 1; i < extents.size(); ++i) {
    if (extents[i].begin >= extents[i - 1].end) continue;
    bad_input(fmt::format("{}: tensor {} at offset {} overlaps {}, which ends at {}", source,
                          printable(extents[i].name), extents[i].begin, printable(extents[i - 1].name),
                          extents[i - 1].end));
  }
}

}  // namespace tern
