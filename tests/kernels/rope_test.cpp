#include "kernels/rope/rope.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "paged_cache.h"

namespace tern {
namespace {

using test::PagedCache;
using test::random_floats;

struct Shape {
  int32_t heads, kv_heads, head_dim, rope_dims, block_tokens;
  RopeStyle style;
  Format format;
};

const Shape kShapes[] = {
    {9, 3, 64, 64, 16, RopeStyle::kInterleaved, Format::kF16},  {4, 2, 64, 64, 64, RopeStyle::kHalves, Format::kBF16},
    {2, 1, 128, 128, 16, RopeStyle::kHalves, Format::kF32},     {3, 3, 80, 32, 16, RopeStyle::kHalves, Format::kF16},
    {4, 1, 24, 20, 32, RopeStyle::kInterleaved, Format::kF32},  {4, 1, 24, 20, 16, RopeStyle::kHalves, Format::kBF16},
    {2, 2, 16, 16, 16, RopeStyle::kInterleaved, Format::kBF16}, {1, 1, 256, 256, 16, RopeStyle::kHalves, Format::kF16},
    {9, 3, 64, 64, 16, RopeStyle::kInterleaved, kKvInt8},       {4, 1, 24, 20, 64, RopeStyle::kHalves, kKvInt8},
};

constexpr int64_t kPositions = 200;

struct Slice {
  int64_t history, query;
};
// Starts and ends inside blocks, at their borders, and single tokens.
const std::vector<Slice> kRagged = {{0, 1}, {0, 16}, {5, 3}, {15, 2}, {16, 33}, {100, 1}, {7, 70}, {31, 1}};

class World {
 public:
  explicit World(const Shape& shape)
      : shape_(shape), cache_(shape.format, shape.kv_heads, shape.head_dim, shape.block_tokens, 64, 5) {
    const size_t table = static_cast<size_t>(kPositions * shape.rope_dims / 2);
    cos_.resize(table);
    sin_.resize(table);
    for (size_t i = 0; i < table; ++i) {
      const double angle = 0.37 * static_cast<double>(i);
      cos_[i] = static_cast<float>(std::cos(angle));
      sin_[i] = static_cast<float>(std::sin(angle));
    }
    for (const Slice& slice : kRagged) {
      tables_.push_back(cache_.take_blocks(slice.history + slice.query));
      tokens_ += slice.query;
    }
    qkv_ = random_floats(static_cast<size_t>(tokens_ * stride()), 1, 9);
  }
  int64_t columns() const { return shape_.heads + 2 * shape_.kv_heads; }
  int64_t stride() const { return columns() * shape_.head_dim + 8; }
  const PagedCache& cache() const { return cache_; }
  const std::vector<std::vector<int32_t>>& tables() const { return tables_; }
  float x(int64_t token, int64_t column, int64_t d) const {
    return qkv_[static_cast<size_t>(token * stride() + column * shape_.head_dim + d)];
  }
  double cos(int64_t position, int64_t i) const {
    return cos_[static_cast<size_t>(position * shape_.rope_dims / 2 + i)];
  }
  double sin(int64_t position, int64_t i) const {
    return sin_[static_cast<size_t>(position * shape_.rope_dims / 2 + i)];
  }

  // All slices in one batch, or each cut into `piece` tokens a call. Returns q: [tokens, heads * head_dim].
  std::vector<float> run(const std::string& name, int threads, int64_t piece) {
    const RopeKv rope(shape_.format, KernelSelection::parse("rope:" + name));
    EXPECT_EQ(rope.kernel_name(), name);
    std::vector<float> q(static_cast<size_t>(tokens_ * shape_.heads * shape_.head_dim), NAN);
    ThreadPool pool(threads);
    for (int64_t begin = 0; begin < kPositions; begin += piece) {
      std::vector<SequenceSlice> slices;
      int64_t first = 0;
      for (size_t s = 0; s < kRagged.size(); ++s) {
        const int64_t count = std::min(piece, kRagged[s].query - begin);
        if (count > 0) {
          slices.push_back({static_cast<int32_t>(first + begin), static_cast<int32_t>(count),
                            static_cast<int32_t>(kRagged[s].history + begin), tables_[s].data()});
        }
        first += kRagged[s].query;
      }
      const RopeKvArgs args{
          .qkv = qkv_.data(),
          .qkv_stride = stride(),
          .q_out = q.data(),
          .heads = shape_.heads,
          .kv_heads = shape_.kv_heads,
          .head_dim = shape_.head_dim,
          .rope_dims = shape_.rope_dims,
          .style = shape_.style,
          .cos = cos_.data(),
          .sin = sin_.data(),
          .kv = cache_.view(),
          .batch = {slices.data(), static_cast<int32_t>(slices.size()), static_cast<int32_t>(tokens_), 1}};
      pool.run([&](const Team& team) { rope.run(args, team); });
    }
    return q;
  }

  double rotated(int64_t token, int64_t column, int64_t position, int64_t d) const {
    const int64_t dims = shape_.rope_dims, half = dims / 2;
    if (d >= dims) return x(token, column, d);
    const bool pairs = shape_.style == RopeStyle::kInterleaved;
    const int64_t i = pairs ? d / 2 : d % half;
    const int64_t a = pairs ? 2 * i : i, b = pairs ? 2 * i + 1 : i + half;
    const double xa = x(token, column, a), xb = x(token, column, b);
    return d == a ? xa * cos(position, i) - xb * sin(position, i) : xa * sin(position, i) + xb * cos(position, i);
  }

 private:
  Shape shape_;
  PagedCache cache_;
  std::vector<std::vector<int32_t>> tables_;
  std::vector<float> cos_, sin_, qkv_;
  int64_t tokens_ = 0;
};

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const KernelListing& kernel : rope_listing()) {
    if (kernel.available) all.emplace_back(kernel.name);
  }
  return all;
}

double tolerance(Format format) { return format == Format::kF32 ? 1e-6 : format == Format::kF16 ? 1e-3 : 8e-3; }
// Half a step of a head's codes, whose greatest number is below 6 here (two draws in a rotated pair).
double half_step(Format format) { return format == kKvInt8 ? 6.0 / 127 / 2 : 0; }

TEST(Rope, FollowsTheFormula) {
  for (const Shape& shape : kShapes) {
    for (const std::string& name : names()) {
      SCOPED_TRACE(name + ", head_dim " + std::to_string(shape.head_dim));
      World world(shape);
      const std::vector<float> q = world.run(name, 1, kPositions);
      int64_t token = 0;
      for (size_t s = 0; s < kRagged.size(); ++s) {
        for (int64_t t = 0; t < kRagged[s].query; ++t, ++token) {
          const int64_t position = kRagged[s].history + t;
          for (int64_t c = 0; c < world.columns(); ++c) {
            for (int64_t d = 0; d < shape.head_dim; ++d) {
              if (c < shape.heads) {
                ASSERT_NEAR(q[static_cast<size_t>((token * shape.heads + c) * shape.head_dim + d)],
                            world.rotated(token, c, position, d), 1e-6);
              } else if (c < shape.heads + shape.kv_heads) {
                const double want = world.rotated(token, c, position, d);
                ASSERT_NEAR(world.cache().key(world.tables()[s], position, c - shape.heads, d), want,
                            tolerance(shape.format) * (std::abs(want) + 0.1) + half_step(shape.format));
              } else {
                const double want = world.x(token, c, d);
                ASSERT_NEAR(world.cache().value(world.tables()[s], position, c - shape.heads - shape.kv_heads, d), want,
                            tolerance(shape.format) * (std::abs(want) + 0.1) + half_step(shape.format));
              }
            }
          }
        }
      }
    }
  }
}

// The whole pool is compared: what was not to be written is still poison.
TEST(Rope, SameBitsCutAndShared) {
  for (const Shape& shape : kShapes) {
    for (const std::string& name : names()) {
      World whole(shape);
      const std::vector<float> q = whole.run(name, 1, kPositions);
      for (const int64_t piece : {int64_t{1}, int64_t{7}, kPositions}) {
        World pieces(shape);
        EXPECT_EQ(pieces.run(name, 2, piece), q) << name;
        EXPECT_EQ(pieces.cache().bytes(), whole.cache().bytes()) << name << ", pieces of " << piece;
      }
    }
  }
}

// Values are only converted: the kernels agree with the reference conversion on every bit.
TEST(Rope, ConversionIsTheReference) {
  for (const Format format : {Format::kF32, Format::kF16, Format::kBF16, kKvInt8}) {
    std::vector<float> values = random_floats(512, 1, 3);
    const float awkward[] = {0, -0.0f, 65504, 65520, 1e-8f, 6e-8f, 3e-5f, 1e-40f, INFINITY, -INFINITY, 1e38f, 3.4e38f};
    std::copy(std::begin(awkward), std::end(awkward), values.begin());
    for (const std::string& name : names()) {
      PagedCache cache(format, 1, 256, 16, 2, 1), want(format, 1, 256, 16, 2, 1);
      const std::vector<int32_t> table = cache.take_blocks(2);
      std::vector<float> qkv(2 * 768, 0.0f), cos(512, 1.0f), sin(512, 0.0f), q(512), zero(256, 0.0f);
      for (int64_t t = 0; t < 2; ++t) {
        std::copy_n(values.begin() + t * 256, 256, qkv.begin() + t * 768 + 512);
        want.write(table, t, zero.data(), &values[static_cast<size_t>(t * 256)]);
      }
      const SequenceSlice slice{0, 2, 0, table.data()};
      const RopeKvArgs args{.qkv = qkv.data(),
                            .qkv_stride = 768,
                            .q_out = q.data(),
                            .heads = 1,
                            .kv_heads = 1,
                            .head_dim = 256,
                            .rope_dims = 256,
                            .style = RopeStyle::kHalves,
                            .cos = cos.data(),
                            .sin = sin.data(),
                            .kv = cache.view(),
                            .batch = {&slice, 1, 2, 1}};
      ThreadPool pool(1);
      const RopeKv rope(format, KernelSelection::parse("rope:" + name));
      pool.run([&](const Team& team) { rope.run(args, team); });
      EXPECT_EQ(cache.bytes(), want.bytes()) << name << " " << static_cast<int>(format);
    }
  }
}

TEST(Rope, RefusesAnUnknownCache) { EXPECT_THROW(RopeKv(Format::kQ8_0, KernelSelection()), Error); }

}  // namespace
}  // namespace tern
