#include "model/rearrange.h"

#include <fmt/core.h>

#include <cstring>

#include "core/error.h"

namespace tern {
namespace {

// Rows of a format of blocks are outputs: their elements cannot be taken apart.
bool transposed(const TensorInfo& whole, const StoredForm& form) {
  return form.transposed && format_info(whole.format).block_elements == 1;
}

// As the tensor has them.
struct Extent {
  int64_t outputs, inputs;  // of a matrix that is wanted
  int64_t all;              // outputs of all uses that share it
  int64_t length, needed;   // elements of a row; rows that a matrix needs
  int64_t share;            // rows that are a matrix' share
  int64_t row_bytes;
};

Extent extent_of(const TensorInfo& whole, const StoredForm& form, const StackedMatrices& wanted) {
  const FormatInfo& info = format_info(whole.format);
  Extent e{};
  e.outputs = wanted.rows > 1 ? wanted.rows : wanted.cols;
  e.inputs = wanted.rows > 1 ? wanted.cols : 1;
  e.all = e.outputs * form.step;
  e.length = transposed(whole, form) ? e.all : e.inputs;
  e.needed = transposed(whole, form) ? e.inputs : e.all;
  e.share = whole.elements() / wanted.matrices / e.length;
  e.row_bytes = e.length / info.block_elements * info.block_bytes;
  return e;
}

// Where the tensor has one of the use's outputs.
int64_t place_of(const Extent& e, const StoredForm& form, int64_t output) {
  return form.by_turns ? form.first + output * form.step : form.first * e.outputs + output;
}

// Outputs that are columns of `from`, to rows.
void copy_columns(const Extent& e, const StoredForm& form, int64_t bytes, const std::byte* from, std::byte* to) {
  for (int64_t output = 0; output < e.outputs; ++output) {
    const std::byte* column = from + place_of(e, form, output) * bytes;
    for (int64_t input = 0; input < e.inputs; ++input, to += bytes) {
      std::memcpy(to, column + input * e.row_bytes, static_cast<size_t>(bytes));
    }
  }
}

void copy_rows(const Extent& e, const StoredForm& form, const std::byte* from, std::byte* to) {
  for (int64_t output = 0; output < e.outputs; ++output, to += e.row_bytes) {
    std::memcpy(to, from + place_of(e, form, output) * e.row_bytes, static_cast<size_t>(e.row_bytes));
  }
}

}  // namespace

void check_rearranged(const TensorInfo& whole, const StoredForm& form, const StackedMatrices& wanted) {
  const Extent e = extent_of(whole, form, wanted);
  const bool fits = whole.elements() == wanted.matrices * e.share * e.length && e.share >= e.needed &&
                    (form.share != StoredShare::kWhole || e.share == e.needed);
  if (!fits || e.length % format_info(whole.format).block_elements != 0) {
    bad_input(fmt::format("tensor {} has {} elements of {}, the model's facts need {} x {} x {}", printable(whole.name),
                          whole.elements(), name_of(whole.format), wanted.matrices, e.needed, e.length));
  }
}

std::vector<std::byte> rearrange(const TensorInfo& whole, const StoredForm& form, const StackedMatrices& wanted) {
  check_rearranged(whole, form, wanted);
  const FormatInfo& info = format_info(whole.format);
  const Extent e = extent_of(whole, form, wanted);
  const int64_t skipped = form.share == StoredShare::kBack ? e.share - e.needed : 0;
  const int64_t matrix_bytes = e.outputs * e.inputs / info.block_elements * info.block_bytes;
  std::vector<std::byte> out(static_cast<size_t>(wanted.matrices * matrix_bytes));
  for (int64_t matrix = 0; matrix < wanted.matrices; ++matrix) {
    const std::byte* from = whole.data.data() + (matrix * e.share + skipped) * e.row_bytes;
    std::byte* to = out.data() + matrix * matrix_bytes;
    transposed(whole, form) ? copy_columns(e, form, info.block_bytes, from, to) : copy_rows(e, form, from, to);
  }
  return out;
}

}  // namespace tern
