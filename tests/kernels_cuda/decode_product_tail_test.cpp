// What decode products do beside the sums, against plain loops in f64: the division of the norm before, and each way to
// end; of every weight format, for 1 to 16 tokens, whose bits do not depend on the others.
#include <gtest/gtest.h>

#include <functional>

#include "decode_product_case.h"

namespace tern {
namespace {

using test::check_cuda;
using test::DeviceMemory;
using namespace decode_case;

constexpr float kEps = 1e-5f;

double of_bf16(uint16_t bits) { return f32_from_bf16(bits); }

class DecodeProductTail : public testing::TestWithParam<DecodeWeight> {
 protected:
  void SetUp() override {
    if (!test::has_device()) GTEST_SKIP() << "no CUDA device";
    impl_ = impl_of(GetParam());
    ASSERT_NE(impl_, nullptr);
  }

  // A product of kTokens tokens whose results are about as large as 1: in results_ exactly, on the device in args_.
  void make(int64_t rows, int64_t cols) {
    const Weights weights = random_weights({rows, cols, GetParam()}, random_);
    const std::vector<uint16_t> x = random_tokens(cols, cols, random_);
    std::vector<double> values(static_cast<size_t>(cols));
    results_.assign(static_cast<size_t>(kTokens * rows), 0);
    double squares = 0;
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t col = 0; col < cols; ++col) values[static_cast<size_t>(col)] = weights.at(row, col);
      for (int64_t token = 0; token < kTokens; ++token) {
        double& sum = results_[static_cast<size_t>(token * rows + row)];
        for (int64_t col = 0; col < cols; ++col)
          sum += values[static_cast<size_t>(col)] * of_bf16(x[static_cast<size_t>(token * cols + col)]);
        squares += sum * sum;
      }
    }
    const double mean = squares / static_cast<double>(kTokens * rows);
    const int64_t parts = cols / kDecodeTileRows;
    std::vector<float> part_squares;
    bias_ = floats(rows);
    for (int64_t token = 0; token < kTokens; ++token) {
      double sum = 0;
      for (int64_t i = 0; i < parts; ++i) {
        const double part = mean * kDecodeTileRows * (0.5 + static_cast<double>(random_() % 1024) / 1024);
        part_squares.push_back(static_cast<float>(part));
        sum += part_squares.back();
      }
      for (int64_t row = 0; row < rows; ++row) {
        double& result = results_[static_cast<size_t>(token * rows + row)];
        result = result / std::sqrt(sum / static_cast<double>(cols) + kEps) + bias_[static_cast<size_t>(row)];
      }
    }
    args_ = {.desc = weights.desc,
             .weights = keep(weights.bytes),
             .scales = reinterpret_cast<const float*>(keep(weights.scales)),
             .x = keep(x),
             .x_stride = cols,
             .y = nullptr,
             .y_stride = 0,
             .tokens = kTokens,
             .overlap = false,
             .bias = reinterpret_cast<const float*>(keep(bias_)),
             .norm = {reinterpret_cast<const float*>(keep(part_squares)), kEps}};
  }

  double result(int64_t token, int64_t row) const {
    return results_[static_cast<size_t>(token * args_.desc.rows + row)];
  }

  template <typename T>
  std::byte* keep(const std::vector<T>& values) {
    return memory_.emplace_back(values).data();
  }

  std::vector<float> floats(int64_t count) {
    std::normal_distribution<float> normal;
    std::vector<float> out(static_cast<size_t>(count));
    for (float& value : out) value = normal(random_);
    return out;
  }

  void run(DecodeProductArgs args, int64_t tokens) {
    args.tokens = tokens;
    args.overlap = tokens % 2 == 0;
    check_cuda(static_cast<cudaError_t>(impl_->run(args, nullptr)), "run");
    check_cuda(cudaDeviceSynchronize(), "synchronize");
  }

  // `output` makes y anew and gives what a run of so many tokens wrote. Fewer tokens give the first ones' bits.
  void expect_same_bits(const std::function<std::vector<uint16_t>(int64_t)>& output) {
    const std::vector<uint16_t> all = output(kTokens);
    for (const int64_t tokens : {1, 2, 5, 8, 9}) {
      const std::vector<uint16_t> some = output(tokens);
      const auto count = all.size() / kTokens * static_cast<size_t>(tokens);
      ASSERT_TRUE(std::equal(some.begin(), some.begin() + static_cast<int64_t>(count), all.begin())) << tokens;
      ASSERT_TRUE(std::all_of(some.begin() + static_cast<int64_t>(count), some.end(), [](uint16_t bits) {
        return bits == kPoison;
      })) << tokens;
    }
  }

  static std::vector<uint16_t> poison(int64_t count) {
    return std::vector<uint16_t>(static_cast<size_t>(count), kPoison);
  }

  const DecodeProductImpl* impl_ = nullptr;
  std::mt19937 random_{11};
  std::vector<DeviceMemory> memory_;
  std::vector<double> results_;
  std::vector<float> bias_;
  DecodeProductArgs args_ = {};
};

// Within a rounding to bf16 of the value, and f32 sums of values about as large as `size`.
void expect_near(uint16_t bits, double want, const char* what, int64_t at, double size = 1) {
  ASSERT_NEAR(of_bf16(bits), want, std::abs(want) / 256 + 1e-3 * size) << what << " " << at;
}

TEST_P(DecodeProductTail, PlainWithNormAndBias) {
  make(1000, 512);
  const int64_t rows = args_.desc.rows;
  args_.y_stride = rows;
  expect_same_bits([&](int64_t tokens) {
    const DeviceMemory y(poison(kTokens * rows));
    args_.y = y.data();
    run(args_, tokens);
    const std::vector<uint16_t> got = y.to_host<uint16_t>();
    for (int64_t i = 0; i < tokens * rows; ++i)
      expect_near(got[static_cast<size_t>(i)], results_[static_cast<size_t>(i)], "y", i);
    return got;
  });
}

TEST_P(DecodeProductTail, ResidualSumAndTheNextNorm) {
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{4096, 512}, {576, 1536}, {16, 2304}}) {
    make(rows, cols);
    const std::vector<float> before = floats(kTokens * rows), weight = floats(rows);
    const int64_t tiles = rows / kDecodeTileRows, y_stride = rows + 8;
    args_.output = DecodeOutput::kResidual;
    args_.y_stride = y_stride;
    args_.residual.norm_weight = reinterpret_cast<const float*>(keep(weight));
    expect_same_bits([&, rows = rows](int64_t tokens) {
      const DeviceMemory y(poison(kTokens * y_stride)), sum(before),
          squares(std::vector<float>(static_cast<size_t>(kTokens * tiles), NAN));
      args_.y = y.data();
      args_.residual.before = args_.residual.after = reinterpret_cast<float*>(sum.data());
      args_.residual.squares = reinterpret_cast<float*>(squares.data());
      run(args_, tokens);
      const auto got = y.to_host<uint16_t>();
      const auto sums = sum.to_host<float>(), parts = squares.to_host<float>();
      for (int64_t token = 0; token < kTokens; ++token) {
        double total = 0, want_total = 0;
        for (int64_t row = 0; row < rows; ++row) {
          const auto at = static_cast<size_t>(token * rows + row);
          if (token >= tokens) {
            EXPECT_EQ(sums[at], before[at]);
            continue;
          }
          const double want = before[at] + result(token, row);
          EXPECT_NEAR(sums[at], want, 1e-3) << rows << " " << at;
          expect_near(got[static_cast<size_t>(token * y_stride + row)], sums[at] * weight[static_cast<size_t>(row)],
                      "y", static_cast<int64_t>(at));
          want_total += static_cast<double>(sums[at]) * sums[at];
          if (row % kDecodeTileRows == 0) total += parts[static_cast<size_t>(token * tiles + row / kDecodeTileRows)];
        }
        EXPECT_NEAR(total, want_total, want_total * 1e-5) << token;
      }
      return got;
    });
  }
}

double activated(Activation activation, double x) {
  if (activation == Activation::kSilu) return x / (1 + std::exp(-x));
  if (activation == Activation::kGelu) return 0.5 * x * (1 + std::erf(x * std::sqrt(0.5)));
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

TEST_P(DecodeProductTail, GatedActivations) {
  if (GetParam() == DecodeWeight::kFp8Block) {
    args_.desc = {64, 128, GetParam()};
    args_.output = DecodeOutput::kGlu;
    args_.tokens = 1;
    EXPECT_NE(impl_->run(args_, nullptr), 0);
    return;
  }
  for (const int64_t cols : {16, 1536, 4864}) {
    make(2 * cols, 512);
    args_.output = DecodeOutput::kGlu;
    args_.y_stride = cols;
    for (const Activation activation : {Activation::kSilu, Activation::kGelu, Activation::kGeluTanh}) {
      args_.activation = activation;
      expect_same_bits([&](int64_t tokens) {
        const DeviceMemory y(poison(kTokens * cols));
        args_.y = y.data();
        run(args_, tokens);
        const auto got = y.to_host<uint16_t>();
        for (int64_t i = 0; i < tokens * cols; ++i) {
          const int64_t token = i / cols, col = i % cols;
          const double gate = activated(activation, result(token, col)), up = result(token, cols + col);
          expect_near(got[static_cast<size_t>(i)], gate * up, "glu", i, 1 + std::abs(up));
        }
        return got;
      });
    }
  }
}

struct Heads {
  int32_t heads, kv_heads, head_dim, rope_dims;
  RopeStyle style;
};

// Everything that the rotated product writes, beside each other.
struct RopeCase {
  static constexpr int32_t kBlockTokens = 16;
  static constexpr int64_t kBlocks = 5, kPositions = 40, kOffset = 256;
  Heads shape = {};
  std::vector<float> cos, sin;
  std::vector<int32_t> positions;
  std::vector<int64_t> slots;

  int64_t queries() const { return int64_t{shape.heads} * shape.head_dim; }
  int64_t rows() const { return queries() + int64_t{2} * shape.kv_heads * shape.head_dim; }
  DecodeKvLayout layout() const {
    return decode_kv_layout(DecodeKv::kBf16, shape.kv_heads, shape.head_dim, kBlockTokens);
  }
  int64_t block_bytes() const { return kOffset + layout().bytes(); }
  // Element of the pool where element d of a key head is; of a value head.
  size_t key_at(int64_t token, int64_t head, int64_t d) const {
    const int64_t slot = slots[static_cast<size_t>(token)];
    const int64_t in_block = (head * kBlockTokens + slot % kBlockTokens) * shape.head_dim + d;
    return static_cast<size_t>((slot / kBlockTokens * block_bytes() + kOffset) / 2 + in_block);
  }
  size_t value_at(int64_t token, int64_t head, int64_t d) const {
    return key_at(token, head, d) + static_cast<size_t>(layout().codes / 2);
  }
  // Element d of a head, rotated; `in` gives the head's elements.
  double rotated(int64_t token, int64_t d, const std::function<double(int64_t)>& in) const {
    const int64_t half = shape.rope_dims / 2;
    const bool halves = shape.style == RopeStyle::kHalves;
    if (d >= shape.rope_dims) return in(d);
    const int64_t pair = halves ? d % half : d / 2;
    const bool second = halves ? d >= half : d % 2 == 1;
    const double a = in(halves ? pair : 2 * pair), b = in(halves ? pair + half : 2 * pair + 1);
    const auto at = static_cast<size_t>(positions[static_cast<size_t>(token)] * half + pair);
    return second ? a * sin[at] + b * cos[at] : a * cos[at] - b * sin[at];
  }
};

TEST_P(DecodeProductTail, RotationAndCache) {
  if (GetParam() == DecodeWeight::kFp8Block) return;
  const Heads shapes[] = {{9, 3, 64, 64, RopeStyle::kHalves},      {32, 8, 128, 128, RopeStyle::kHalves},
                          {4, 4, 96, 96, RopeStyle::kHalves},      {9, 3, 64, 64, RopeStyle::kInterleaved},
                          {8, 2, 16, 16, RopeStyle::kInterleaved}, {2, 1, 48, 20, RopeStyle::kInterleaved}};
  for (const Heads& shape : shapes) {
    RopeCase rope;
    rope.shape = shape;
    for (int64_t i = 0; i < RopeCase::kPositions * shape.rope_dims / 2; ++i) {
      const double angle = static_cast<double>(random_() % 6283) / 1000;
      rope.cos.push_back(static_cast<float>(std::cos(angle)));
      rope.sin.push_back(static_cast<float>(std::sin(angle)));
    }
    for (int64_t i = 0; i < kTokens; ++i) {
      rope.positions.push_back(static_cast<int32_t>(random_() % RopeCase::kPositions));
      rope.slots.push_back(i == 3 ? -1 : (i * 5 + 2) % (RopeCase::kBlocks * RopeCase::kBlockTokens));
    }
    make(rope.rows(), 512);
    const auto* cos = reinterpret_cast<const float*>(keep(rope.cos));
    const auto* sin = reinterpret_cast<const float*>(keep(rope.sin));
    args_.output = DecodeOutput::kRopeKv;
    args_.y_stride = rope.queries();
    const int64_t pool_size = RopeCase::kBlocks * rope.block_bytes() / 2;
    expect_same_bits([&](int64_t tokens) {
      const DeviceMemory q(poison(kTokens * rope.queries())), pool(poison(pool_size));
      args_.y = q.data();
      args_.rope = {
          .qkv = nullptr,
          .q_out = nullptr,
          .heads = shape.heads,
          .kv_heads = shape.kv_heads,
          .head_dim = shape.head_dim,
          .rope_dims = shape.rope_dims,
          .style = shape.style,
          .cos = cos,
          .sin = sin,
          .positions = reinterpret_cast<const int32_t*>(keep(rope.positions)),
          .slots = reinterpret_cast<const int64_t*>(keep(rope.slots)),
          .kv = DecodeKv::kBf16,
          .view = decode_kv_view(rope.layout(), pool.data(), RopeCase::kBlocks, rope.block_bytes(), RopeCase::kOffset),
          .block_tokens = RopeCase::kBlockTokens,
          .tokens = 0,
          .overlap = false};
      run(args_, tokens);
      const auto queries = q.to_host<uint16_t>();
      auto cache = pool.to_host<uint16_t>();
      const int64_t dim = shape.head_dim, kv_heads = shape.kv_heads;
      for (int64_t token = 0; token < tokens; ++token) {
        const auto head_of = [&](int64_t head) {
          return [&, head](int64_t d) { return result(token, head * dim + d); };
        };
        for (int64_t i = 0; i < rope.queries(); ++i) {
          expect_near(queries[static_cast<size_t>(token * rope.queries() + i)],
                      rope.rotated(token, i % dim, head_of(i / dim)), "q", i);
        }
        if (rope.slots[static_cast<size_t>(token)] < 0) continue;
        for (int64_t i = 0; i < kv_heads * dim; ++i) {
          const int64_t head = i / dim, d = i % dim;
          expect_near(cache[rope.key_at(token, head, d)], rope.rotated(token, d, head_of(shape.heads + head)), "k", i);
          expect_near(cache[rope.value_at(token, head, d)], head_of(shape.heads + kv_heads + head)(d), "v", i);
          cache[rope.key_at(token, head, d)] = cache[rope.value_at(token, head, d)] = kPoison;
        }
      }
      EXPECT_EQ(cache, poison(pool_size)) << "written where nothing belongs";
      return queries;
    });
  }
}

TEST_P(DecodeProductTail, RefusesWhatItCannotEndWith) {
  DecodeProductArgs args = {};
  args.desc = {40, 128, GetParam()};
  args.tokens = 1;
  for (const DecodeOutput output : {DecodeOutput::kResidual, DecodeOutput::kGlu, DecodeOutput::kRopeKv}) {
    args.output = output;
    EXPECT_NE(impl_->run(args, nullptr), 0) << static_cast<int>(output);
  }
  EXPECT_FALSE(decode_rope_fits(64, 32, RopeStyle::kHalves, DecodeKv::kBf16));
  EXPECT_FALSE(decode_rope_fits(64, 64, RopeStyle::kHalves, DecodeKv::kFp8));
  EXPECT_FALSE(decode_rope_fits(24, 24, RopeStyle::kInterleaved, DecodeKv::kBf16));
}

INSTANTIATE_TEST_SUITE_P(Weights, DecodeProductTail,
                         testing::Values(DecodeWeight::kBf16, DecodeWeight::kFp8Channel, DecodeWeight::kFp8Block,
                                         DecodeWeight::kW4, DecodeWeight::kW4Block32, DecodeWeight::kW4Block32Offset),
                         name_of_weight);

}  // namespace
}  // namespace tern
