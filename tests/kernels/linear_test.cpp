#include "kernels/linear/linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <memory>

#include "core/error.h"
#include "core/half.h"
#include "core/thread_pool.h"
#include "emulated_amx.h"
#include "quant/format.h"
#include "support/kernel_cases.h"

namespace tern {
namespace {

using test::ActivationCase;
using test::WeightCase;

constexpr int64_t kMaxTokens = 100;
constexpr int64_t kTokenCounts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 33, 100};

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
class Bound {
 public:
  Bound(const LinearImpl& impl, const LinearDesc& desc, const std::byte* source, const float* bias)
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
    Storage prepared(static_cast<uint64_t>(stride * tokens));
    for (int64_t t = 0; t < tokens; ++t) impl_.prepare(x + t * desc_.cols, desc_.cols, prepared.data() + t * stride);
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

bool same_bits(const std::vector<float>& a, const float* b) {
  return std::memcmp(a.data(), b, a.size() * sizeof(float)) == 0;
}

std::vector<float> decoded(Format format, const std::vector<std::byte>& bytes, int64_t elements) {
  std::vector<float> out(static_cast<size_t>(elements));
  format_info(format).decode(bytes.data(), elements / format_info(format).block_elements, out.data());
  return out;
}

// Sum of squared differences, relative to the larger of the result's energy and what random signs would give it (a sum
// that cancels is not held against a kernel).
double relative_error(const std::vector<float>& out, const std::vector<float>& w, const std::vector<float>& x,
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

struct ImplFormat {
  const LinearImpl* impl;
  Format format;
  bool emulated = false;
};

void PrintTo(const ImplFormat& p, std::ostream* out) { *out << p.impl->name << " " << name_of(p.format); }

std::vector<ImplFormat> runnable() {
  std::vector<ImplFormat> all;
  const uint32_t isa = detect_isa();
  for (const LinearImpl* impl : linear_impls()) {
    if ((impl->needs & ~isa) != 0) continue;
    for (Format format : test::kAllFormats) {
      if (impl->supports({16, 1536, format})) all.push_back({impl, format});
    }
  }
  for (const LinearImpl* impl : test::emulated_amx_impls()) {
    for (Format format : test::kAllFormats) {
      if (impl->supports({16, 1536, format})) all.push_back({impl, format, true});
    }
  }
  return all;
}

std::string test_name(const testing::TestParamInfo<ImplFormat>& info) {
  return std::string(info.param.emulated ? "emulated_" : "") + info.param.impl->name + "_" +
         std::string(name_of(info.param.format));
}

class LinearKernel : public testing::TestWithParam<ImplFormat> {
 protected:
  static bool exact() {
    return format_info(GetParam().format).block_elements == 1 || GetParam().impl->name == std::string_view("ref");
  }
  // Activations in bf16 are off by at most 2^-9, 1.3e-6 of their energy.
  static bool rounds_to_bf16() { return std::string_view(GetParam().impl->name).ends_with("bf16dot"); }
  static double float_tolerance() { return rounds_to_bf16() ? 5e-6 : 1e-10; }
  static double tolerance() { return exact() ? float_tolerance() : 5e-4; }
  // What rounding activations to 8 bits costs by itself: a twelfth of a step squared an element, the step being the
  // largest of a weight block's 32 or 256 elements / 127. Four times that, since a few rows are a small sample.
  static double rounding_tolerance(const std::vector<float>& x) {
    const size_t block = format_info(GetParam().format).block_elements;
    double noise = 0, energy = 0;
    for (size_t i = 0; i < x.size(); i += block) {
      double largest = 0;
      for (size_t k = i; k < i + block; ++k) {
        largest = std::max(largest, std::abs(static_cast<double>(x[k])));
        energy += static_cast<double>(x[k]) * x[k];
      }
      noise += static_cast<double>(block) * largest * largest / (127.0 * 127.0 * 12.0);
    }
    return exact() ? float_tolerance() : std::max(1e-3, 4 * noise / energy);
  }
};

// Against f64 over the reference decoder's weights, and the same bits alone, in any batch and in any division of
// panels.
TEST_P(LinearKernel, ShapesAndBits) {
  const auto& [impl, format, emulated] = GetParam();
  int shapes = 0;
  for (int64_t rows : {1, 15, 16, 17, 33}) {
    for (int64_t cols : {7, 32, 64, 96, 256, 576, 768, 896, 1536}) {
      const LinearDesc desc{rows, cols, format};
      if (cols % format_info(format).block_elements != 0 || !impl->supports(desc)) continue;
      SCOPED_TRACE(testing::Message() << rows << "x" << cols);
      ++shapes;
      const auto seed = static_cast<uint64_t>(rows * 10000 + cols);
      const std::vector<std::byte> bytes = test::random_weights(format, rows, cols, WeightCase::kNormal, seed);
      const std::vector<float> x = test::random_activations(kMaxTokens, cols, ActivationCase::kNormal, seed + 1);
      std::vector<float> bias = test::random_activations(1, rows, ActivationCase::kNormal, seed + 2);
      Bound bound(*impl, desc, bytes.data(), bias.data());

      const std::vector<float> all = bound.run(x.data(), kMaxTokens, 1);
      const std::vector<float> w = decoded(format, bytes, rows * cols);
      EXPECT_LE(relative_error(all, w, x, bias, rows, cols, 9), tolerance());
      EXPECT_TRUE(same_bits(bound.run(x.data(), kMaxTokens, 2), all.data()));
      EXPECT_TRUE(same_bits(bound.run(x.data(), kMaxTokens, 3), all.data()));
      for (int64_t t = 0; t < kMaxTokens; ++t) {
        ASSERT_TRUE(same_bits(bound.run(x.data() + t * cols, 1, 1), all.data() + t * rows)) << "token " << t;
      }
      for (int64_t tokens : kTokenCounts) {
        const int64_t from = (kMaxTokens - tokens) / 2;
        ASSERT_TRUE(same_bits(bound.run(x.data() + from * cols, tokens, 3), all.data() + from * rows)) << tokens;
      }
      for (int64_t n = 0; n < rows; ++n) ASSERT_TRUE(same_bits(bound.row(n), w.data() + n * cols)) << "row " << n;
    }
  }
  EXPECT_GT(shapes, 0);
}

// Rows so long that kernels cut them for several tokens: the cuts are at other places for every number of tokens.
TEST_P(LinearKernel, LongRows) {
  const auto& [impl, format, emulated] = GetParam();
  constexpr int64_t kRows = 35, kTokens = 33;
  for (int64_t cols : {4864, 8960}) {
    SCOPED_TRACE(cols);
    const std::vector<std::byte> bytes = test::random_weights(format, kRows, cols, WeightCase::kNormal, 21);
    const std::vector<float> x = test::random_activations(kTokens, cols, ActivationCase::kOutliers, 22);
    const std::vector<float> bias = test::random_activations(1, kRows, ActivationCase::kNormal, 23);
    Bound bound(*impl, {kRows, cols, format}, bytes.data(), bias.data());
    const std::vector<float> all = bound.run(x.data(), kTokens, 1);
    const std::vector<float> w = decoded(format, bytes, kRows * cols);
    EXPECT_LE(relative_error(all, w, x, bias, kRows, cols, 2), rounding_tolerance(x));
    for (int64_t tokens = 1; tokens <= 17; ++tokens) {
      const int64_t from = kTokens - tokens;
      ASSERT_TRUE(same_bits(bound.run(x.data() + from * cols, tokens, 2), all.data() + from * kRows)) << tokens;
    }
    for (int64_t n : {int64_t{0}, kRows - 1}) ASSERT_TRUE(same_bits(bound.row(n), w.data() + n * cols)) << "row " << n;
  }
}

TEST_P(LinearKernel, AwkwardValues) {
  const auto& [impl, format, emulated] = GetParam();
  constexpr int64_t kRows = 19, kCols = 768, kTokens = 10;
  const LinearDesc desc{kRows, kCols, format};
  const std::vector<float> bias(kRows, 0.0f);
  for (WeightCase weight_case : test::kWeightCases) {
    for (ActivationCase activation_case : test::kActivationCases) {
      SCOPED_TRACE(testing::Message() << static_cast<int>(weight_case) << " " << static_cast<int>(activation_case));
      const std::vector<std::byte> bytes = test::random_weights(format, kRows, kCols, weight_case, 5);
      const std::vector<float> x = test::random_activations(kTokens, kCols, activation_case, 6);
      Bound bound(*impl, desc, bytes.data(), nullptr);
      const std::vector<float> w = decoded(format, bytes, kRows * kCols);
      const std::vector<float> all = bound.run(x.data(), kTokens, 1);
      // Every token by itself: a large one must not hide what happens to a small one.
      for (int64_t t = 0; t < kTokens; ++t) {
        const std::vector<float> one(x.begin() + t * kCols, x.begin() + (t + 1) * kCols);
        const std::vector<float> out(all.begin() + t * kRows, all.begin() + (t + 1) * kRows);
        EXPECT_LE(relative_error(out, w, one, bias, kRows, kCols, 1), rounding_tolerance(one)) << "token " << t;
        EXPECT_TRUE(same_bits(bound.run(one.data(), 1, 1), out.data())) << "token " << t;
      }
      for (int64_t n = 0; n < kRows; ++n) ASSERT_TRUE(same_bits(bound.row(n), w.data() + n * kCols)) << "row " << n;
    }
  }
}

TEST_P(LinearKernel, ZeroInNothingOut) {
  const auto& [impl, format, emulated] = GetParam();
  constexpr int64_t kRows = 17, kCols = 256;
  const std::vector<std::byte> bytes = test::random_weights(format, kRows, kCols, WeightCase::kHugeScales, 1);
  const std::vector<float> x(2 * kCols, 0.0f);
  Bound bound(*impl, {kRows, kCols, format}, bytes.data(), nullptr);
  for (float value : bound.run(x.data(), 2, 1)) EXPECT_EQ(value, 0.0f);
}

TEST_P(LinearKernel, NotANumberComesThrough) {
  const auto& [impl, format, emulated] = GetParam();
  constexpr int64_t kRows = 17, kCols = 256;
  const std::vector<std::byte> bytes = test::random_weights(format, kRows, kCols, WeightCase::kNormal, 1);
  std::vector<float> x(2 * kCols, 1.0f);
  x[77] = NAN;
  Bound bound(*impl, {kRows, kCols, format}, bytes.data(), nullptr);
  const std::vector<float> out = bound.run(x.data(), 2, 1);
  for (int64_t n = 0; n < kRows; ++n) {
    EXPECT_TRUE(std::isnan(out[n]));
    EXPECT_TRUE(std::isfinite(out[kRows + n]));
  }
}

TEST_P(LinearKernel, CostCountsEachOperandOnce) {
  const auto& [impl, format, emulated] = GetParam();
  const LinearDesc desc{512, 1536, format};
  const Cost one = impl->cost(desc, 1);
  const FormatInfo& info = format_info(format);
  EXPECT_EQ(one.ops, 2.0 * 512 * 1536);
  EXPECT_GE(one.bytes, 512.0 * 1536 / info.block_elements * info.block_bytes);
  EXPECT_EQ(impl->cost(desc, 7).ops, 7 * one.ops);
  if (impl->pack != nullptr) {
    EXPECT_GE(static_cast<double>(impl->packed_bytes(desc)), one.bytes - 4.0 * (512 + 1536));
  }
}

// Activations of a byte a column are multiplied as integers, of two bytes as bf16; by tiles where the tokens are many.
TEST_P(LinearKernel, CostNamesTheArithmetic) {
  const auto& [impl, format, emulated] = GetParam();
  const LinearDesc desc{512, 4096, format};
  const uint64_t bytes = impl->prepared_bytes(desc.cols);
  const bool integer = bytes < 2 * 4096, bf16 = !integer && bytes < 4 * 4096;
  const Arithmetic vectors = integer ? Arithmetic::kInt8 : bf16 ? Arithmetic::kBf16 : Arithmetic::kF32;
  const Arithmetic tiles = integer ? Arithmetic::kInt8Tile : Arithmetic::kBf16Tile;
  const bool amx = (impl->needs & (kIsaAmxInt8 | kIsaAmxBf16)) != 0;
  EXPECT_EQ(impl->cost(desc, 512).arithmetic, amx ? tiles : vectors);
  EXPECT_EQ(impl->cost(desc, 1).arithmetic, amx && bf16 ? tiles : vectors);  // integer rows leave one to vectors
}

INSTANTIATE_TEST_SUITE_P(All, LinearKernel, testing::ValuesIn(runnable()), test_name);

// The driver: several parts with formats of their own, bias, threads, the workspace it asks for.
class LinearDriver : public testing::TestWithParam<const char*> {
 protected:
  static constexpr int64_t kCols = 768;
  struct Made {
    std::unique_ptr<Linear> linear;
    std::vector<std::vector<std::byte>> bytes;
    std::vector<float> bias;
    std::vector<float> w;  // [rows, cols], decoded
    std::unique_ptr<Storage> storage;
  };
  static Made make(ThreadPool& pool) {
    Made made;
    const std::pair<Format, int64_t> kinds[] = {
        {Format::kQ4_1, 65}, {Format::kQ8_0, 33}, {Format::kBF16, 17}, {Format::kQ6_K, 31}, {Format::kQ4_0, 5}};
    made.bias = test::random_activations(1, 65, ActivationCase::kNormal, 3);
    std::vector<LinearPart> parts;
    for (const auto& [format, rows] : kinds) {
      made.bytes.push_back(test::random_weights(format, rows, kCols, WeightCase::kNormal, 10 + parts.size()));
      const std::vector<float> w = decoded(format, made.bytes.back(), rows * kCols);
      made.w.insert(made.w.end(), w.begin(), w.end());
      parts.push_back({format, rows, made.bytes.back().data(), parts.empty() ? made.bias.data() : nullptr});
    }
    made.bias.resize(65 + 33 + 17 + 31 + 5, 0.0f);
    parts[0].bias = made.bias.data();
    made.linear = std::make_unique<Linear>("test", kCols, parts, KernelSelection::parse(GetParam()));
    made.storage = std::make_unique<Storage>(made.linear->packed_bytes());
    pool.run([&](const Team& team) { made.linear->pack(made.storage->data(), team); });
    return made;
  }
  static std::vector<float> run(const Made& made, ThreadPool& pool, const float* x, int64_t tokens) {
    std::vector<float> out(static_cast<size_t>(tokens * made.linear->rows()));
    Storage workspace(made.linear->workspace_bytes(tokens, pool.size()));
    const LinearArgs args{.x = x,
                          .x_stride = kCols,
                          .tokens = tokens,
                          .out = out.data(),
                          .out_stride = made.linear->rows(),
                          .workspace = workspace.data()};
    pool.run([&](const Team& team) { made.linear->run(args, team); });
    return out;
  }
};

TEST_P(LinearDriver, PartsThreadsAndBits) {
  ThreadPool one(1, {.pin = false});
  ThreadPool two(2, {.pin = false});
  const Made alone = make(one);
  const Made shared = make(two);
  constexpr int64_t kTokens = 21;
  const std::vector<float> x = test::random_activations(kTokens, kCols, ActivationCase::kNormal, 4);
  const std::vector<float> expected = run(alone, one, x.data(), kTokens);
  EXPECT_LE(relative_error(expected, alone.w, x, alone.bias, alone.linear->rows(), kCols, kTokens), 5e-4);
  EXPECT_TRUE(same_bits(run(shared, two, x.data(), kTokens), expected.data()));
  for (int64_t t = 0; t < kTokens; ++t) {
    const float* row = expected.data() + t * alone.linear->rows();
    EXPECT_TRUE(same_bits(run(alone, one, x.data() + t * kCols, 1), row));
    EXPECT_TRUE(same_bits(run(shared, two, x.data() + t * kCols, 1), row));
  }
  std::vector<float> row(kCols);
  for (int64_t n = 0; n < alone.linear->rows(); ++n) {
    shared.linear->read_row(n, row.data());
    EXPECT_TRUE(same_bits(row, alone.w.data() + n * kCols)) << n;
  }
}

// A product uses what another of the same layout packed, and sees whether it is of its own weights.
TEST_P(LinearDriver, AdoptsWhatIsPacked) {
  ThreadPool one(1);
  const Made packed = make(one), adopting = make(one);
  EXPECT_EQ(packed.linear->packed_layout(), adopting.linear->packed_layout());
  const uint64_t bytes = packed.linear->packed_bytes();
  Storage copy(bytes);
  if (bytes > 0) std::memcpy(copy.data(), packed.storage->data(), bytes);
  adopting.linear->adopt(copy.data());
  const std::vector<float> x = test::random_activations(3, kCols, ActivationCase::kNormal, 4);
  EXPECT_TRUE(same_bits(run(adopting, one, x.data(), 3), run(packed, one, x.data(), 3).data()));
  std::vector<float> scratch(2 * kCols);
  for (uint64_t seed = 0; seed < 40; ++seed)
    EXPECT_TRUE(adopting.linear->agrees_with_file(seed, scratch.data())) << seed;
  for (uint64_t i = 0; i < bytes; ++i) copy.data()[i] ^= std::byte{0x11};
  for (uint64_t seed = 0; seed < 40; ++seed)
    EXPECT_EQ(adopting.linear->agrees_with_file(seed, scratch.data()), bytes == 0) << seed;
}

// Rows made on the spot and columns handed on at once give the same bits; every column is handed on once, in whole
// grains, by the worker that has it.
TEST_P(LinearDriver, RowsFromACallbackAndColumnsToOne) {
  ThreadPool two(2, {.pin = false});
  Made made = make(two);
  made.linear->divide({});
  for (const int64_t tokens : {1, 2, 9}) {
    const std::vector<float> x = test::random_activations(tokens, kCols, ActivationCase::kNormal, 5);
    const std::vector<float> expected = run(made, two, x.data(), tokens);
    std::vector<float> out(expected.size());
    std::vector<std::atomic<int>> completed(static_cast<size_t>(made.linear->rows())),
        owned(static_cast<size_t>(tokens));
    Storage workspace(made.linear->workspace_bytes(tokens, two.size()));
    const auto row = [&](int64_t token, bool owner, float* scratch) -> const float* {
      if (owner) ++owned[static_cast<size_t>(token)];
      std::copy_n(x.data() + token * kCols, kCols, scratch + kCols);
      std::copy_n(scratch + kCols, kCols, scratch);
      return scratch;
    };
    const auto done = [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        ++completed[static_cast<size_t>(n)];
        for (int64_t t = 0; t < tokens; ++t) {
          const auto at = static_cast<size_t>(t * made.linear->rows() + n);
          ASSERT_TRUE(same_bits({out[at]}, &expected[at]));
        }
      }
    };
    LinearArgs args{.x = nullptr,
                    .x_stride = 0,
                    .tokens = tokens,
                    .out = out.data(),
                    .out_stride = made.linear->rows(),
                    .workspace = workspace.data()};
    args.row = row;
    args.done = done;
    two.run([&](const Team& team) { made.linear->run(args, team); });
    for (const auto& count : completed) EXPECT_EQ(count, 1);
    for (const auto& count : owned) EXPECT_EQ(count, 1);
    EXPECT_TRUE(same_bits(out, expected.data()));
  }
}

// Gate and up: columns i of both parts are completed together.
TEST_P(LinearDriver, PairsAreCompletedTogether) {
  ThreadPool two(2, {.pin = false});
  constexpr int64_t kRows = 112, kTokens = 3;
  const std::vector<std::byte> gate = test::random_weights(Format::kQ4_1, kRows, kCols, WeightCase::kNormal, 1);
  const std::vector<std::byte> up = test::random_weights(Format::kQ8_0, kRows, kCols, WeightCase::kNormal, 2);
  const std::vector<LinearPart> parts{{Format::kQ4_1, kRows, gate.data(), nullptr},
                                      {Format::kQ8_0, kRows, up.data(), nullptr}};
  const KernelSelection selection = KernelSelection::parse(GetParam());
  Linear plain("plain", kCols, parts, selection), paired("paired", kCols, parts, selection);
  ASSERT_FALSE(Linear("three", kCols, {parts[0], parts[1], parts[0]}, selection).divides({16, true}));
  ASSERT_FALSE(paired.divides({.grain = 24})) << "112 is no multiple";
  ASSERT_TRUE(paired.divides({16, true}));
  paired.divide({16, true});
  Storage a(plain.packed_bytes()), b(paired.packed_bytes());
  two.run([&](const Team& team) {
    plain.pack(a.data(), team);
    paired.pack(b.data(), team);
  });
  const std::vector<float> x = test::random_activations(kTokens, kCols, ActivationCase::kNormal, 6);
  std::vector<float> expected(kTokens * 2 * kRows), out(expected.size());
  Storage workspace(plain.workspace_bytes(kTokens, 2));
  LinearArgs args{.x = x.data(),
                  .x_stride = kCols,
                  .tokens = kTokens,
                  .out = expected.data(),
                  .out_stride = 2 * kRows,
                  .workspace = workspace.data()};
  two.run([&](const Team& team) { plain.run(args, team); });
  std::vector<std::atomic<int>> completed(kRows);
  const auto done = [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      ++completed[static_cast<size_t>(n)];
      EXPECT_EQ(out[static_cast<size_t>(n)], expected[static_cast<size_t>(n)]);
      EXPECT_EQ(out[static_cast<size_t>(kRows + n)], expected[static_cast<size_t>(kRows + n)]);
    }
  };
  args.out = out.data();
  args.done = done;
  two.run([&](const Team& team) { paired.run(args, team); });
  for (const auto& count : completed) EXPECT_EQ(count, 1);
  EXPECT_TRUE(same_bits(out, expected.data()));
}

std::vector<const char*> selections() {
  std::vector<const char*> all = {"", "ref"};
  for (const KernelListing& kernel : list_kernels()) {
    if (kernel.family != "linear" || !kernel.available) continue;
    for (const char* isa : {"linear:avx2", "linear:avx512", "linear:amx"}) {
      const bool has = kernel.name.starts_with(std::string_view(isa).substr(7));
      if (has && std::string_view(all.back()) != isa) all.push_back(isa);
    }
  }
  return all;
}
std::string selection_name(const testing::TestParamInfo<const char*>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), ':', '_');
  return name.empty() ? "default" : name;
}
INSTANTIATE_TEST_SUITE_P(Selections, LinearDriver, testing::ValuesIn(selections()), selection_name);

TEST(Linear, NamesWhatItCannotDo) {
  const std::byte none{};
  try {
    Linear("blk.0.ffn_down", 100, {{Format::kQ4_1, 7, &none, nullptr}}, KernelSelection::parse(""));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("blk.0.ffn_down: no kernel for 7x100 q4_1"), std::string::npos)
        << error.what();
  }
}

TEST(Linear, RefKeepsTheFilesBytes) {
  const std::vector<std::byte> bytes = test::random_weights(Format::kQ4_1, 7, 64, WeightCase::kNormal, 1);
  const Linear linear("w", 64, {{Format::kQ4_1, 7, bytes.data(), nullptr}}, KernelSelection::parse("ref"));
  EXPECT_EQ(linear.packed_bytes(), 0u);
  EXPECT_FALSE(linear.copies(0));
  EXPECT_EQ(linear.kernel_names(), "ref");
}

}  // namespace
}  // namespace tern
