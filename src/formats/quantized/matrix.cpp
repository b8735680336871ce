#include "formats/quantized/matrix.h"

#include <fmt/core.h>

#include "core/error.h"

namespace tern {
namespace {

std::string text_of(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t dim : shape) text += (text.empty() ? "" : " x ") + (dim < 0 ? "any" : std::to_string(dim));
  return text.empty() ? "one number" : text;
}

}  // namespace

int64_t QuantizedMatrix::rows() const {
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  return rows;
}

void ModuleTensors::refuse(const std::string& reason) const {
  bad_input(fmt::format("{}: {}: {}", checkpoint_.metadata.source(), printable(module_, 512), reason));
}

void ModuleTensors::check_shape(const char* suffix, const std::vector<int64_t>& is,
                                const std::vector<int64_t>& wanted) const {
  bool fits = is.size() == wanted.size();
  for (size_t i = 0; fits && i < is.size(); ++i) fits = wanted[i] < 0 || is[i] == wanted[i];
  if (!fits) refuse(fmt::format("{} is {}, and {} is needed", suffix, text_of(is), text_of(wanted)));
}

const StoredTensor& ModuleTensors::stored(const char* suffix, const char* dtype, std::vector<int64_t> shape) const {
  const StoredTensor* found = stored(suffix);
  if (found == nullptr) refuse(fmt::format("{} of type {} is missing", suffix, dtype));
  if (found->dtype != dtype) refuse(fmt::format("{} is {}, and {} is needed", suffix, found->dtype, dtype));
  check_shape(suffix, found->shape, shape);
  return *found;
}

const TensorInfo& ModuleTensors::tensor(const char* suffix, std::vector<int64_t> shape) const {
  const TensorInfo* found = tensor(suffix);
  if (found == nullptr) refuse(fmt::format("{} of type F32, F16 or BF16 is missing", suffix));
  check_shape(suffix, found->shape, shape);
  return *found;
}

}  // namespace tern
