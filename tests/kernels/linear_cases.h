// What the tests of the linear family share: guarded memory, an implementation bound to a matrix, and how far a product
// is from the exact one.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <vector>

#include "kernels/linear/linear_impl.h"
#include "quant/format.h"

namespace tern::test {

// Aligned, with bytes behind the end that must stay as they were.
class Storage {
 public:
  explicit Storage(uint64_t bytes) : bytes_(bytes), memory_(new(std::align_val_t(64)) std::byte[bytes + kGuard]) {
    std::memset(memory_, 0x5a, bytes + kGuard);
  }
  ~Storage() {
    for (size_t i = 0; i < kGuard; ++i) EXPECT_EQ(memory_[bytes_ + i], std::byte{0x5a}) << "written past the end";
    ::operator delete[](memory_, std::align_val_t(64));
  }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  std::byte* data() { return memory_; }

 private:
  static constexpr size_t kGuard = 128;
  uint64_t bytes_;
  std::byte* memory_;
};

// One implementation bound to one matrix, called as linear.cpp calls it.
class BoundImpl {
 public:
  BoundImpl(const LinearImpl& impl, const LinearDesc& desc, const std::byte* source, const float* bias)
      : impl_(impl), desc_(desc), bias_(bias), packed_(impl.packed_bytes(desc)) {
    weights_ = source;
    if (impl.pack == nullptr) return;
    weights_ = packed_.data();
    for (int64_t p = panels(); p-- > 0;) impl.pack(desc, source, packed_.data(), p, p + 1);
  }
  int64_t panels() const { return (desc_.rows + impl_.panel_rows - 1) / impl_.panel_rows; }

  // The panels cut into `pieces` ranges, last first. out[tokens, rows]
  std::vector<float> run(const float* x, int64_t tokens, int pieces) {
    const int64_t stride = static_cast<int64_t>(impl_.prepared_bytes(desc_.cols));
    EXPECT_EQ(stride % 64, 0);
    Storage prepared(static_cast<uint64_t>(stride * prepared_rows(tokens)));
    for (int64_t t = 0; t < tokens; ++t)
      prepare_token(impl_, x + t * desc_.cols, desc_.cols, prepared.data(), t, tokens);
    const int64_t out_stride = desc_.rows + 3;
    constexpr float kUntouched = -12345.0f;
    std::vector<float> padded(static_cast<size_t>(tokens * out_stride), kUntouched);
    const LinearJob job{.desc = desc_,
                        .weights = weights_,
                        .prepared = prepared.data(),
                        .prepared_stride = stride,
                        .tokens = tokens,
                        .out = padded.data(),
                        .out_stride = out_stride,
                        .bias = bias_};
    for (int i = pieces; i-- > 0;) {
      const int64_t begin = panels() * i / pieces;
      const int64_t end = panels() * (i + 1) / pieces;
      if (begin < end) impl_.run(job, begin, end);
    }
    std::vector<float> out;
    for (int64_t t = 0; t < tokens; ++t) {
      const float* row = padded.data() + t * out_stride;
      out.insert(out.end(), row, row + desc_.rows);
      for (int64_t i = desc_.rows; i < out_stride; ++i) EXPECT_EQ(row[i], kUntouched) << "wrote beyond the row";
    }
    return out;
  }

  std::vector<float> row(int64_t index) const {
    std::vector<float> out(static_cast<size_t>(desc_.cols));
    impl_.read_row(desc_, weights_, index, out.data());
    return out;
  }

 private:
  const LinearImpl& impl_;
  LinearDesc desc_;
  const float* bias_;
  Storage packed_;
  const std::byte* weights_ = nullptr;
};

inline bool same_bits(const std::vector<float>& a, const float* b) {
  return std::memcmp(a.data(), b, a.size() * sizeof(float)) == 0;
}

inline std::vector<float> decoded(Format format, const std::vector<std::byte>& bytes, int64_t elements) {
  std::vector<float> out(static_cast<size_t>(elements));
  format_info(format).decode(bytes.data(), elements / format_info(format).block_elements, out.data());
  return out;
}

// Sum of squared differences, relative to the larger of the result's energy and what random signs would give it (a sum
// that cancels is not held against a kernel).
inline double relative_error(const std::vector<float>& out, const std::vector<float>& w, const std::vector<float>& x,
                             const std::vector<float>& bias, int64_t rows, int64_t cols, int64_t tokens) {
  double error = 0, energy = 0, expected = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t n = 0; n < rows; ++n) {
      double sum = 0, squares = 0;
      for (int64_t k = 0; k < cols; ++k) {
        const double product = static_cast<double>(w[n * cols + k]) * x[t * cols + k];
        sum += product;
        squares += product * product;
      }
      sum += bias[n];
      const double difference = out[t * rows + n] - sum;
      error += difference * difference;
      energy += sum * sum;
      expected += squares;
    }
  }
  const double scale = std::max(energy, expected);
  return scale == 0 ? error : error / scale;
}

}  // namespace tern::test
