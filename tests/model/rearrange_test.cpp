// Matrices that do not lie in a file as products read them.
#include "model/rearrange.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "core/error.h"

namespace tern {
namespace {

// 0, 1, 2, ... in the shape.
struct Counted {
  explicit Counted(std::vector<int64_t> shape) {
    tensor.name = "counted";
    tensor.shape = std::move(shape);
    values.resize(static_cast<size_t>(tensor.elements()));
    std::iota(values.begin(), values.end(), 0.0f);
    tensor.data = std::as_bytes(std::span(values));
  }
  std::vector<float> rearranged(const StoredForm& form, int64_t matrices, int64_t rows, int64_t cols) const {
    const std::vector<std::byte> bytes = rearrange(tensor, form, {matrices, rows, cols});
    std::vector<float> out(bytes.size() / sizeof(float));
    std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
  }
  TensorInfo tensor;
  std::vector<float> values;
};

TEST(Rearrange, TransposesEachMatrix) {
  const Counted two({2, 3, 2});
  EXPECT_EQ(two.rearranged({.transposed = true}, 2, 2, 3), (std::vector<float>{0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11}));
}

TEST(Rearrange, TakesOutputsByTurns) {
  const Counted rows({4, 2}), columns({2, 4}), vectors({2, 4});
  EXPECT_EQ(rows.rearranged({.step = 2, .first = 1}, 1, 2, 2), (std::vector<float>{2, 3, 6, 7}));
  EXPECT_EQ(columns.rearranged({.transposed = true, .step = 2, .first = 0}, 1, 2, 2), (std::vector<float>{0, 4, 2, 6}));
  EXPECT_EQ(vectors.rearranged({.transposed = true, .step = 2, .first = 1}, 2, 1, 2), (std::vector<float>{1, 3, 5, 7}));
}

TEST(Rearrange, TakesTheFrontOrTheBackOfEachShare) {
  const Counted both({6, 2});  // of two heads: one row of keys, two of values
  EXPECT_EQ(both.rearranged({.transposed = true, .share = StoredShare::kFront}, 2, 2, 1),
            (std::vector<float>{0, 1, 6, 7}));
  EXPECT_EQ(both.rearranged({.share = StoredShare::kBack}, 2, 2, 2), (std::vector<float>{2, 3, 4, 5, 8, 9, 10, 11}));
}

TEST(Rearrange, RowsOfBlocksAreOutputs) {
  Counted blocks({1, 34});  // as bytes: 4 rows of 34 bytes, a block of 32 elements each
  blocks.tensor.format = Format::kQ8_0;
  blocks.tensor.shape = {4, 32};
  const std::vector<std::byte> turns =
      rearrange(blocks.tensor, {.transposed = true, .step = 2, .first = 1}, {1, 2, 32});
  ASSERT_EQ(turns.size(), 68u);
  EXPECT_EQ(0, std::memcmp(turns.data(), blocks.tensor.data.data() + 34, 34));
  EXPECT_EQ(0, std::memcmp(turns.data() + 34, blocks.tensor.data.data() + 3 * 34, 34));
}

TEST(Rearrange, RefusesOtherSizes) {
  const Counted four({2, 2});
  EXPECT_THROW(four.rearranged({.transposed = true}, 1, 2, 3), Error);
  EXPECT_THROW(four.rearranged({.share = StoredShare::kBack}, 1, 3, 2), Error);
}

}  // namespace
}  // namespace tern
