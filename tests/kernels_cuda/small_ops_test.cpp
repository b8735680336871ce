// The small operations on a GPU against plain loops over the same rounded inputs: odd and even sizes, outputs poisoned
// before, alone and as launches that overlap.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "core/fp8.h"
#include "core/half.h"
#include "gpu_case.h"
#include "kernels/activation/glu_gpu.h"
#include "kernels/activation/pointwise_gpu.h"
#include "kernels/attention/attention_gpu.h"
#include "kernels/embed/rows_gpu.h"
#include "kernels/linear/bias_gpu.h"
#include "kernels/norm/norm_gpu.h"
#include "kernels/rope/rope_gpu.h"
#include "support/device_memory.h"

namespace tern {
namespace {

using test::DeviceMemory, test::done;

constexpr uint16_t kPoison = 0x7fc0;  // not a number

class SmallOps : public test::GpuCase {
 protected:
  SmallOps() : GpuCase(7) {}
  std::vector<int32_t> numbers(int64_t count, int32_t below) {
    std::vector<int32_t> out(static_cast<size_t>(count));
    for (int32_t& value : out) value = static_cast<int32_t>(random_() % static_cast<uint32_t>(below));
    return out;
  }
};

// Within a rounding to bf16 of the value.
void expect_bf16(uint16_t bits, double want, const char* what, int64_t at) {
  ASSERT_NEAR(f32_from_bf16(bits), want, std::abs(want) / 128 + 1e-3) << what << " " << at;
}

TEST_F(SmallOps, EmbedTakesRows) {
  for (int64_t cols : {8, 36, 576, 4096, 4100}) {
    const auto table = halves(50 * cols);
    auto ids = numbers(17, 50);
    const std::vector<int32_t> drawn = {13, -1};
    const auto known = ids;
    ids[4] = -1, ids[9] = -2;  // rows of drawn tokens
    const DeviceMemory d_table(table), d_ids(ids), d_drawn(drawn),
        out(std::vector<float>(17 * static_cast<size_t>(cols), NAN));
    done(kGpuEmbedSm80.run(
        {d_table.data(), reinterpret_cast<const int32_t*>(d_ids.data()),
         reinterpret_cast<const int32_t*>(d_drawn.data()), reinterpret_cast<float*>(out.data()), 17, cols, false, 1.5f},
        nullptr));
    const auto got = out.to_host<float>();
    for (int64_t i = 0; i < 17 * cols; ++i) {
      const int64_t token = i / cols, id = token == 4 ? 13 : token == 9 ? 0 : known[static_cast<size_t>(token)];
      const auto from = id * cols + i % cols;
      ASSERT_EQ(got[static_cast<size_t>(i)], 1.5f * f32_from_bf16(table[static_cast<size_t>(from)])) << i;
    }
  }
}

TEST_F(SmallOps, SelectRowsTakesRows) {
  for (int64_t words : {1, 33, 1000}) {
    const auto in = floats(40 * words);
    const std::vector<int32_t> index = {39, 0, 7};
    const DeviceMemory d_in(in), d_index(index), out(std::vector<float>(3 * static_cast<size_t>(words), NAN));
    done(kGpuSelectRowsSm80.run(
        {d_in.data(), reinterpret_cast<const int32_t*>(d_index.data()), out.data(), 3, 4 * words, false}, nullptr));
    const auto got = out.to_host<float>();
    for (int64_t i = 0; i < 3 * words; ++i) {
      ASSERT_EQ(got[static_cast<size_t>(i)],
                in[static_cast<size_t>(index[static_cast<size_t>(i / words)] * words + i % words)]);
    }
  }
}

// Of f32 rows and bf16 rows, alone and summed.
TEST_F(SmallOps, NormOfASumAndAlone) {
  for (int64_t cols : {64, 576, 1536, 4096, 8200, 16384}) {
    const int64_t tokens = 5, count = tokens * cols;
    const auto in = floats(count), weight = floats(cols);
    const auto delta = halves(count);
    for (const bool use_in : {true, false}) {
      for (const bool use_delta : {true, false}) {
        if (!use_in && !use_delta) continue;
        const bool summed = use_in && use_delta;
        const DeviceMemory d_in(in), d_delta(delta), d_weight(weight);
        const DeviceMemory sum(std::vector<float>(static_cast<size_t>(count), NAN));
        const DeviceMemory out(std::vector<uint16_t>(static_cast<size_t>(count), kPoison));
        const auto* from = reinterpret_cast<const float*>(d_in.data());
        done(kGpuNormSm80.run(
            {use_in ? from : nullptr, use_delta ? d_delta.data() : nullptr, reinterpret_cast<float*>(sum.data()),
             reinterpret_cast<const float*>(d_weight.data()), out.data(), tokens, cols, 1e-5f, true},
            nullptr));
        const auto got = out.to_host<uint16_t>();
        const auto sums = sum.to_host<float>();
        for (int64_t t = 0; t < tokens; ++t) {
          std::vector<double> s(static_cast<size_t>(cols));
          double squares = 0;
          for (int64_t c = 0; c < cols; ++c) {
            const auto at = static_cast<size_t>(t * cols + c);
            const float value = (use_in ? in[at] : 0) + (use_delta ? f32_from_bf16(delta[at]) : 0);
            if (summed) {
              ASSERT_EQ(sums[at], value) << at;
            }
            s[static_cast<size_t>(c)] = value;
            squares += static_cast<double>(value) * value;
          }
          const double scale = 1 / std::sqrt(squares / static_cast<double>(cols) + 1e-5);
          for (int64_t c = 0; c < cols; ++c) {
            expect_bf16(got[static_cast<size_t>(t * cols + c)],
                        s[static_cast<size_t>(c)] * scale * weight[static_cast<size_t>(c)], "norm", c);
          }
        }
      }
    }
  }
}

TEST_F(SmallOps, GluOfEveryActivation) {
  for (const Activation activation : {Activation::kSilu, Activation::kGelu, Activation::kGeluTanh}) {
    for (int64_t cols : {8, 1536, 4104}) {
      const auto in = halves(3 * 2 * cols);
      const DeviceMemory d_in(in), out(std::vector<uint16_t>(3 * static_cast<size_t>(cols), kPoison));
      done(kGpuGluSm80.run({activation, d_in.data(), out.data(), 3, cols, true}, nullptr));
      const auto got = out.to_host<uint16_t>();
      for (int64_t i = 0; i < 3 * cols; ++i) {
        const auto at = static_cast<size_t>(i / cols * 2 * cols + i % cols);
        const double x = f32_from_bf16(in[at]), up = f32_from_bf16(in[at + static_cast<size_t>(cols)]);
        const double gelu_tanh = 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
        const double act = activation == Activation::kSilu   ? x / (1 + std::exp(-x))
                           : activation == Activation::kGelu ? 0.5 * x * std::erfc(-x / std::sqrt(2.0))
                                                             : gelu_tanh;
        expect_bf16(got[static_cast<size_t>(i)], act * up, "glu", i);
      }
    }
  }
}

TEST_F(SmallOps, PointwiseScalesAndCaps) {
  for (const float cap : {0.0f, 2.0f}) {
    const auto in = floats(1000);
    const auto in_halves = halves(777);
    const DeviceMemory d_in(in), d_halves(in_halves);
    const DeviceMemory out(std::vector<float>(1000, NAN)), out_halves(std::vector<uint16_t>(777, kPoison));
    done(kGpuPointwiseSm80.run({d_in.data(), out.data(), true, 1000, 3.0f, cap, false}, nullptr));
    done(kGpuPointwiseSm80.run({d_halves.data(), out_halves.data(), false, 777, 3.0f, cap, true}, nullptr));
    const auto want = [&](double x) { return cap == 0 ? 3 * x : cap * std::tanh(3 * x / cap); };
    const auto got = out.to_host<float>();
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want(in[i]), 1e-5 * (1 + std::abs(want(in[i])))) << i;
    const auto got_halves = out_halves.to_host<uint16_t>();
    for (size_t i = 0; i < got_halves.size(); ++i) {
      expect_bf16(got_halves[i], want(f32_from_bf16(in_halves[i])), "pointwise", static_cast<int64_t>(i));
    }
  }
}

TEST_F(SmallOps, BiasIsAdded) {
  const int64_t cols = 1000;
  const auto y = halves(7 * cols);
  const auto bias = floats(cols);
  const DeviceMemory d_y(y), d_bias(bias);
  done(kGpuBiasSm80.run({d_y.data(), reinterpret_cast<const float*>(d_bias.data()), 7, cols, false}, nullptr));
  const auto got = d_y.to_host<uint16_t>();
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i], bf16_from_f32(f32_from_bf16(y[i]) + bias[i % static_cast<size_t>(cols)])) << i;
  }
}

// A cache of few blocks in a mixed order; tokens of two sequences.
struct CacheCase {
  int32_t heads, kv_heads, dim, block_tokens;
  std::vector<int32_t> table;      // [2, 8]
  std::vector<int32_t> positions;  // [tokens]
  std::vector<int32_t> sequences;
  int64_t half() const { return int64_t{kv_heads} * block_tokens * dim; }
  int64_t block(size_t token, int64_t position) const {
    return table[static_cast<size_t>(sequences[token] * 8 + position / block_tokens)];
  }
  // Element d of a key (value: behind all keys of the block) in the pool.
  size_t at(size_t token, int64_t position, int64_t head, int64_t d, bool value) const {
    return static_cast<size_t>(block(token, position) * 2 * half() + (value ? half() : 0) +
                               (head * block_tokens + position % block_tokens) * dim + d);
  }
};

CacheCase cache_case(int32_t dim) {
  return {6, 2, dim, 16, {9, 3, 5, 0, 7, 11, 2, 14, 1, 4, 6, 8, 10, 12, 13, 15}, {0, 1, 2, 50, 127}, {0, 0, 0, 1, 1}};
}

// A head's row, normed where there is a weight.
std::vector<double> head_row(const uint16_t* bits, const std::vector<float>& weight, int32_t dim) {
  std::vector<double> x;
  double squares = 0;
  for (int32_t d = 0; d < dim; ++d) {
    x.push_back(f32_from_bf16(bits[d]));
    squares += x.back() * x.back();
  }
  if (weight.empty()) return x;
  const double scale = 1 / std::sqrt(squares / dim + 1e-5);
  for (size_t d = 0; d < x.size(); ++d) x[d] *= scale * weight[d];
  return x;
}

void expect_rotated(const CacheCase& c, RopeStyle style, int32_t rope_dims, bool normed, std::mt19937& random) {
  const auto tokens = static_cast<int64_t>(c.positions.size());
  const int32_t columns = c.heads + 2 * c.kv_heads;
  std::normal_distribution<float> normal;
  std::vector<uint16_t> qkv(static_cast<size_t>(tokens * columns * c.dim));
  for (uint16_t& bits : qkv) bits = bf16_from_f32(normal(random));
  std::vector<float> cos(128 * static_cast<size_t>(rope_dims / 2)), sin(cos.size());
  for (size_t i = 0; i < cos.size(); ++i)
    cos[i] = std::cos(static_cast<float>(i)), sin[i] = std::sin(static_cast<float>(i));
  std::vector<int64_t> slots;
  for (size_t t = 0; t < c.positions.size(); ++t)
    slots.push_back(c.block(t, c.positions[t]) * c.block_tokens + c.positions[t] % c.block_tokens);
  slots[1] = -1;
  std::vector<float> q_norm(static_cast<size_t>(c.dim)), k_norm(q_norm.size());
  for (size_t d = 0; d < q_norm.size(); ++d) q_norm[d] = normal(random), k_norm[d] = normal(random);
  const DeviceMemory d_q_norm(q_norm), d_k_norm(k_norm);
  const DeviceMemory d_qkv(qkv), d_cos(cos), d_sin(sin), d_positions(c.positions), d_slots(slots);
  const DeviceMemory q(std::vector<uint16_t>(static_cast<size_t>(tokens * c.heads * c.dim), kPoison));
  const DeviceMemory pool(std::vector<uint16_t>(static_cast<size_t>(16 * 2 * c.half()), kPoison));
  done(kGpuRopeKvSm80.run({d_qkv.data(),
                           q.data(),
                           c.heads,
                           c.kv_heads,
                           c.dim,
                           rope_dims,
                           style,
                           reinterpret_cast<const float*>(d_cos.data()),
                           reinterpret_cast<const float*>(d_sin.data()),
                           reinterpret_cast<const int32_t*>(d_positions.data()),
                           reinterpret_cast<const int64_t*>(d_slots.data()),
                           DecodeKv::kBf16,
                           {pool.data(), 16, 4 * c.half(), 0, 2 * c.half()},
                           c.block_tokens,
                           tokens,
                           false,
                           normed ? reinterpret_cast<const float*>(d_q_norm.data()) : nullptr,
                           normed ? reinterpret_cast<const float*>(d_k_norm.data()) : nullptr,
                           1e-5f},
                          nullptr));
  const auto got_q = q.to_host<uint16_t>(), got_pool = pool.to_host<uint16_t>();
  size_t written = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    for (int32_t column = 0; column < columns; ++column) {
      const bool is_q = column < c.heads, is_v = column >= c.heads + c.kv_heads;
      const std::vector<double> x = head_row(qkv.data() + (t * columns + column) * c.dim,
                                             !normed || is_v ? std::vector<float>()
                                             : is_q          ? q_norm
                                                             : k_norm,
                                             c.dim);
      for (int32_t d = 0; d < c.dim; ++d) {
        double want = x[static_cast<size_t>(d)];
        if (!is_v && d < rope_dims) {
          const bool paired = style == RopeStyle::kInterleaved;
          const int32_t pair = paired ? d / 2 : d % (rope_dims / 2);
          const int32_t a = paired ? 2 * pair : pair, b = paired ? 2 * pair + 1 : pair + rope_dims / 2;
          const auto row = static_cast<size_t>(c.positions[static_cast<size_t>(t)] * (rope_dims / 2) + pair);
          const double xa = x[static_cast<size_t>(a)], xb = x[static_cast<size_t>(b)];
          want = d == a ? xa * cos[row] - xb * sin[row] : xa * sin[row] + xb * cos[row];
        }
        if (is_q) {
          expect_bf16(got_q[static_cast<size_t>((t * c.heads + column) * c.dim + d)], want, "q", d);
        } else if (slots[static_cast<size_t>(t)] >= 0) {
          const int32_t head = column - c.heads - (is_v ? c.kv_heads : 0);
          expect_bf16(got_pool[c.at(static_cast<size_t>(t), c.positions[static_cast<size_t>(t)], head, d, is_v)], want,
                      is_v ? "v" : "k", d);
          ++written;
        }
      }
    }
  }
  const auto kept = static_cast<size_t>(std::count(got_pool.begin(), got_pool.end(), kPoison));
  EXPECT_EQ(kept + written, got_pool.size()) << "wrote where nothing belongs";
}

TEST_F(SmallOps, RopeRotatesAndWritesTheCache) {
  for (const RopeStyle style : {RopeStyle::kInterleaved, RopeStyle::kHalves}) {
    for (const bool normed : {false, true}) {
      expect_rotated(cache_case(64), style, 64, normed, random_);
      expect_rotated(cache_case(80), style, 32, normed, random_);
      expect_rotated(cache_case(256), style, 0, normed, random_);
    }
  }
}

// An FP8 cache: a row's largest number becomes 448, the others are within half a step of e4m3.
TEST_F(SmallOps, RopeWritesCodesAndScales) {
  for (const int32_t dim : {64, 80, 128, 256}) {
    const CacheCase c = cache_case(dim);
    const auto tokens = static_cast<int64_t>(c.positions.size());
    const int32_t columns = c.heads + 2 * c.kv_heads;
    auto qkv = halves(tokens * columns * dim);
    const auto row_at = [&](int64_t t, int32_t column) { return static_cast<size_t>((t * columns + column) * dim); };
    std::fill_n(qkv.begin() + static_cast<int64_t>(row_at(0, c.heads)), dim, uint16_t{0});    // a key of zeros
    qkv[row_at(2, c.heads + c.kv_heads) + 5] = 0x7f80;                                        // an infinite value
    const std::vector<float> cos(128 * static_cast<size_t>(dim / 2), 1), sin(cos.size(), 0);  // no rotation
    std::vector<int64_t> slots;
    for (size_t t = 0; t < c.positions.size(); ++t)
      slots.push_back(c.block(t, c.positions[t]) * c.block_tokens + c.positions[t] % c.block_tokens);
    slots[1] = -1;
    const DecodeKvLayout layout = decode_kv_layout(DecodeKv::kFp8, c.kv_heads, dim, c.block_tokens);
    const DeviceMemory d_qkv(qkv), d_cos(cos), d_sin(sin), d_positions(c.positions), d_slots(slots);
    const DeviceMemory q(std::vector<uint16_t>(static_cast<size_t>(tokens * c.heads * dim), kPoison));
    const DeviceMemory pool(std::vector<uint8_t>(static_cast<size_t>(16 * layout.bytes()), 0xee));
    const DecodeKvView view = decode_kv_view(layout, pool.data(), 16, layout.bytes(), 0);
    done(kGpuRopeKvSm80.run(
        {d_qkv.data(), q.data(), c.heads, c.kv_heads, dim, dim, RopeStyle::kHalves,
         reinterpret_cast<const float*>(d_cos.data()), reinterpret_cast<const float*>(d_sin.data()),
         reinterpret_cast<const int32_t*>(d_positions.data()), reinterpret_cast<const int64_t*>(d_slots.data()),
         DecodeKv::kFp8, view, c.block_tokens, tokens, false},
        nullptr));
    const auto got = pool.to_host<uint8_t>();
    size_t written = 0;
    for (int64_t t = 0; t < tokens; ++t) {
      if (slots[static_cast<size_t>(t)] < 0) continue;
      for (int32_t column = c.heads; column < columns; ++column) {
        const bool value = column >= c.heads + c.kv_heads;
        const int64_t head = column - c.heads - (value ? c.kv_heads : 0), slot = slots[static_cast<size_t>(t)];
        const int64_t row = head * c.block_tokens + slot % c.block_tokens;
        const auto* block = got.data() + slot / c.block_tokens * layout.bytes();
        const uint8_t* codes = block + (value ? view.v_offset : view.k_offset) + row * dim;
        float scale, largest = 0;
        std::memcpy(&scale, block + (value ? view.v_scale_offset : view.k_scale_offset) + row * 4, 4);
        written += static_cast<size_t>(dim) + 4;
        for (int32_t d = 0; d < dim; ++d)
          largest = std::max(largest, std::fabs(f32_from_bf16(qkv[row_at(t, column) + static_cast<size_t>(d)])));
        if (std::isinf(largest)) {
          EXPECT_TRUE(std::isnan(scale)) << "what is not finite is told";
          continue;
        }
        ASSERT_FLOAT_EQ(scale, largest / 448) << dim << " token " << t << " column " << column;
        for (int32_t d = 0; d < dim; ++d) {
          const float want = f32_from_bf16(qkv[row_at(t, column) + static_cast<size_t>(d)]);
          const float error = std::fabs(f32_from_e4m3(codes[d]) * scale - want);
          // 3 bits behind the first: 2^-4 of it; below 2^-6 steps of 2^-9.
          ASSERT_LE(error, std::fabs(want) * 0x1.01p-4f + scale * 0x1.01p-10f) << dim << " " << d;
        }
      }
    }
    const auto kept = static_cast<size_t>(std::count(got.begin(), got.end(), 0xee));
    EXPECT_GE(kept + written, got.size()) << "wrote where nothing belongs";
    EXPECT_LE(kept, got.size() - written * 15 / 16) << "did not write";
  }
}

TEST_F(SmallOps, AttentionEqualsTheSoftmax) {
  for (int32_t dim : {16, 64, 80, 128, 256}) {
    for (int64_t window : {0, 20}) {
      const CacheCase c = cache_case(dim);
      const auto tokens = static_cast<int64_t>(c.positions.size());
      const auto q = halves(tokens * c.heads * dim);
      auto pool = halves(16 * 2 * c.half());
      const DeviceMemory d_q(q), d_pool(pool), d_table(c.table), d_positions(c.positions), d_sequences(c.sequences);
      const DeviceMemory out(std::vector<uint16_t>(q.size(), kPoison));
      const float scale = 1 / std::sqrt(static_cast<float>(dim));
      done(kGpuAttentionSm80.run(
          {{c.heads, c.kv_heads, dim, c.block_tokens, DecodeKv::kBf16, scale, static_cast<int32_t>(window)},
           {d_pool.data(), 16, 4 * c.half(), 0, 2 * c.half()},
           d_q.data(),
           out.data(),
           reinterpret_cast<const int32_t*>(d_positions.data()),
           reinterpret_cast<const int32_t*>(d_sequences.data()),
           reinterpret_cast<const int32_t*>(d_table.data()),
           8,
           nullptr,
           tokens,
           false},
          nullptr));
      const auto got = out.to_host<uint16_t>();
      for (size_t t = 0; t < c.positions.size(); ++t) {
        for (int32_t head = 0; head < c.heads; ++head) {
          const int64_t last = c.positions[t], first = window > 0 ? std::max<int64_t>(0, last - window + 1) : 0;
          const auto row = (t * static_cast<size_t>(c.heads) + static_cast<size_t>(head)) * static_cast<size_t>(dim);
          std::vector<double> sum(static_cast<size_t>(dim));
          double total = 0;
          for (int64_t key = first; key <= last; ++key) {
            double score = 0;
            for (int32_t d = 0; d < dim; ++d) {
              score += static_cast<double>(f32_from_bf16(q[row + static_cast<size_t>(d)])) *
                       f32_from_bf16(pool[c.at(t, key, head / 3, d, false)]);
            }
            const double weight = std::exp(score * static_cast<double>(scale));
            total += weight;
            for (int32_t d = 0; d < dim; ++d)
              sum[static_cast<size_t>(d)] += weight * f32_from_bf16(pool[c.at(t, key, head / 3, d, true)]);
          }
          for (int32_t d = 0; d < dim; ++d)
            expect_bf16(got[row + static_cast<size_t>(d)], sum[static_cast<size_t>(d)] / total, "attention", d);
        }
      }
    }
  }
}

}  // namespace
}  // namespace tern
