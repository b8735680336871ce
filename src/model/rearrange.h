// Tensors of Hugging Face files whose matrices do not lie as products read them, a row an output: transposed ones, and
// ones that several uses share by turns or one behind the other. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "formats/checkpoint.h"
#include "model/roles.h"

namespace tern {

// `matrices` of rows by cols that lie in one tensor; rows 1: vectors.
struct StackedMatrices {
  int64_t matrices, rows, cols;
};

// Throws a bad-input line when `whole` has another size than they need. A format of blocks has a row an output,
// whatever the form says: only elements that stand alone are transposed.
void check_rearranged(const TensorInfo& whole, const StoredForm& form, const StackedMatrices& wanted);

// They in the tensor's own format, one behind the other: [matrices * rows, cols]. Throws as check_rearranged().
std::vector<std::byte> rearrange(const TensorInfo& whole, const StoredForm& form, const StackedMatrices& wanted);

}  // namespace tern
