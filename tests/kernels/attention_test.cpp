#include "kernels/attention/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "core/error.h"
#include "paged_cache.h"

namespace tern {
namespace {

using test::PagedCache;
using test::random_floats;

struct Shape {
  int32_t group, kv_heads, head_dim, block_tokens;
  Format format;
  int64_t window = 0;
  float soft_cap = 0;
};

std::string describe(const Shape& s) {
  return "group " + std::to_string(s.group) + ", " + std::to_string(s.kv_heads) + " kv heads, head_dim " +
         std::to_string(s.head_dim) + ", blocks of " + std::to_string(s.block_tokens) + ", format " +
         std::to_string(static_cast<int>(s.format)) + ", window " + std::to_string(s.window) + ", cap " +
         std::to_string(s.soft_cap);
}

const Shape kShapes[] = {
    {1, 2, 16, 16, Format::kF32},
    {3, 3, 64, 16, Format::kF16},
    {4, 1, 128, 16, Format::kBF16},
    {7, 1, 80, 64, Format::kF16},
    {3, 2, 32, 64, Format::kF32},
    {1, 2, 64, 64, Format::kBF16},
    {4, 2, 64, 16, Format::kF32, 100},
    {7, 1, 32, 16, Format::kF16, 300},
    {3, 1, 64, 64, Format::kF16, 17},
    {3, 1, 64, 16, Format::kF32, 0, 30.0f},
    {4, 1, 16, 16, Format::kBF16, 64, 5.0f},
    {64, 1, 16, 16, Format::kF16},
};

// The vector implementations that this processor can run.
std::vector<std::string> vector_names() {
  std::vector<std::string> names;
  for (const KernelListing& kernel : attention_listing()) {
    if (kernel.available && kernel.name != "ref") names.emplace_back(kernel.name);
  }
  return names;
}

AttentionDesc desc_of(const Shape& shape) {
  return {.heads = shape.group * shape.kv_heads,
          .kv_heads = shape.kv_heads,
          .head_dim = shape.head_dim,
          .scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim)),
          .window = shape.window,
          .soft_cap = shape.soft_cap};
}

Attention make(const Shape& shape, const std::string& name) {
  return Attention(desc_of(shape), shape.format, KernelSelection::parse("attention:" + name));
}

// A sequence with all its queries, keys and values, and how much of it is in the cache.
struct Sequence {
  int64_t length;
  std::vector<float> q, k, v;  // [length, heads, head_dim], [length, kv_heads, head_dim]
  std::vector<int32_t> table;
  int64_t written = 0;
};

struct Step {
  int sequence;
  int64_t history, query;
};

class World {
 public:
  World(const Shape& shape, const std::vector<int64_t>& lengths, float q_scale = 1, uint64_t seed = 1)
      : shape_(shape),
        cache_(shape.format, shape.kv_heads, shape.head_dim, shape.block_tokens, blocks_for(shape, lengths), seed) {
    for (const int64_t length : lengths) {
      Sequence s{.length = length};
      s.q = random_floats(static_cast<size_t>(length * q_cols()), q_scale, ++seed);
      s.k = random_floats(static_cast<size_t>(length * kv_cols()), 1, ++seed);
      s.v = random_floats(static_cast<size_t>(length * kv_cols()), 1, ++seed);
      s.table = cache_.take_blocks(length);
      sequences_.push_back(std::move(s));
    }
  }
  int64_t q_cols() const { return static_cast<int64_t>(shape_.group) * shape_.kv_heads * shape_.head_dim; }
  int64_t kv_cols() const { return static_cast<int64_t>(shape_.kv_heads) * shape_.head_dim; }
  const PagedCache& cache() const { return cache_; }
  Sequence& sequence(int i) { return sequences_[static_cast<size_t>(i)]; }

  // Writes the keys that the batch needs and no more, then runs it: [tokens, heads * head_dim]. `pool` null: the
  // workers one after the other, last first.
  std::vector<float> run(const Attention& attention, const std::vector<Step>& steps, int workers,
                         ThreadPool* pool = nullptr) {
    std::vector<SequenceSlice> slices;
    std::vector<float> q;
    const int64_t stride = q_cols() + 24;
    int64_t tokens = 0, context = 0;
    for (const Step& step : steps) {
      Sequence& s = sequence(step.sequence);
      for (; s.written < step.history + step.query; ++s.written) {
        cache_.write(s.table, s.written, &s.k[static_cast<size_t>(s.written * kv_cols())],
                     &s.v[static_cast<size_t>(s.written * kv_cols())]);
      }
      slices.push_back({static_cast<int32_t>(tokens), static_cast<int32_t>(step.query),
                        static_cast<int32_t>(step.history), s.table.data()});
      q.resize(static_cast<size_t>((tokens + step.query) * stride), NAN);
      for (int64_t t = 0; t < step.query; ++t) {
        std::copy_n(&s.q[static_cast<size_t>((step.history + t) * q_cols())], q_cols(),
                    &q[static_cast<size_t>((tokens + t) * stride)]);
      }
      tokens += step.query;
      context = std::max(context, step.history + step.query);
    }
    const uint64_t bytes = attention.workspace_bytes(tokens, context, workers);
    const std::unique_ptr<std::byte[]> memory(new std::byte[bytes + 128]);
    std::memset(memory.get(), 0xff, bytes + 128);
    std::byte* workspace = memory.get() + (64 - reinterpret_cast<uintptr_t>(memory.get()) % 64);
    std::vector<float> out(static_cast<size_t>(tokens * q_cols()), NAN);
    const AttentionArgs args{.q = q.data(),
                             .q_stride = stride,
                             .out = out.data(),
                             .kv = cache_.view(),
                             .batch = {slices.data(), static_cast<int32_t>(slices.size()), static_cast<int32_t>(tokens),
                                       static_cast<int32_t>(slices.size())},
                             .workspace = workspace};
    if (pool != nullptr) {
      pool->run([&](const Team& team) { attention.run(args, team); });
    } else {
      bool cut = false;
      for (int w = workers; w-- > 0;) cut = attention.compute(args, w, workers);
      if (cut) {
        for (int w = workers; w-- > 0;) attention.merge(args, w, workers);
      }
    }
    for (uint64_t i = 0; i < 32; ++i) EXPECT_EQ(workspace[bytes + i], std::byte{0xff}) << "workspace overrun";
    return out;
  }

 private:
  static int32_t blocks_for(const Shape& shape, const std::vector<int64_t>& lengths) {
    int64_t blocks = 3;
    for (const int64_t length : lengths) blocks += (length + shape.block_tokens - 1) / shape.block_tokens;
    return static_cast<int32_t>(blocks);
  }
  Shape shape_;
  PagedCache cache_;
  std::vector<Sequence> sequences_;
};

double squared_error(const std::vector<float>& got, const std::vector<float>& want) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    error += (double(got[i]) - want[i]) * (double(got[i]) - want[i]);
    norm += double(want[i]) * want[i];
  }
  return error / norm;
}

const std::vector<int64_t> kLengths = {1, 350, 17, 600, 1501, 100, 64};
const std::vector<Step> kRagged = {{0, 0, 1},    {1, 333, 17}, {2, 0, 17}, {3, 500, 100},
                                   {4, 1500, 1}, {5, 97, 3},   {6, 63, 1}};

// One query row by the formula in double precision.
std::vector<double> formula(World& world, const Shape& shape, int sequence, int64_t position, int64_t head) {
  const AttentionDesc desc = desc_of(shape);
  Sequence& s = world.sequence(sequence);
  const int64_t first = shape.window > 0 ? std::max<int64_t>(0, position - shape.window + 1) : 0;
  std::vector<double> weights, out(static_cast<size_t>(shape.head_dim), 0.0);
  double max = -INFINITY, sum = 0;
  for (int64_t p = first; p <= position; ++p) {
    double score = 0;
    for (int64_t d = 0; d < shape.head_dim; ++d) {
      score += double(s.q[static_cast<size_t>(position * world.q_cols() + head * shape.head_dim + d)]) *
               world.cache().key(s.table, p, head / shape.group, d);
    }
    score *= desc.scale;
    if (desc.soft_cap > 0) score = desc.soft_cap * std::tanh(score / desc.soft_cap);
    weights.push_back(score);
    max = std::max(max, score);
  }
  for (int64_t p = first; p <= position; ++p) {
    const double weight = std::exp(weights[static_cast<size_t>(p - first)] - max);
    sum += weight;
    for (int64_t d = 0; d < shape.head_dim; ++d) {
      out[static_cast<size_t>(d)] += weight * world.cache().value(s.table, p, head / shape.group, d);
    }
  }
  for (double& o : out) o /= sum;
  return out;
}

TEST(Attention, RefIsTheFormula) {
  for (Shape shape : kShapes) {
    if (shape.head_dim == 32) shape.head_dim = 24;  // the reference takes any
    SCOPED_TRACE(describe(shape));
    World world(shape, kLengths);
    const std::vector<float> out = world.run(make(shape, "ref"), kRagged, 1);
    int64_t row = 0;
    for (const Step& step : kRagged) {
      for (int64_t t = 0; t < step.query; ++t, ++row) {
        if (t % 13 != 0) continue;
        for (int64_t h = 0; h < shape.group * shape.kv_heads; h += 2) {
          const auto want = formula(world, shape, step.sequence, step.history + t, h);
          for (int64_t d = 0; d < shape.head_dim; ++d) {
            ASSERT_NEAR(out[static_cast<size_t>(row * world.q_cols() + h * shape.head_dim + d)],
                        want[static_cast<size_t>(d)], 2e-5);
          }
        }
      }
    }
  }
}

TEST(Attention, VectorKernelsFollowRefAndNothingLeaks) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(describe(shape));
    World world(shape, kLengths);
    const std::vector<float> want = world.run(make(shape, "ref"), kRagged, 1);
    for (const std::string& name : vector_names()) {
      const Attention attention = make(shape, name);
      ASSERT_EQ(attention.kernel_name(), name);
      EXPECT_LT(squared_error(world.run(attention, kRagged, 1), want), 1e-11) << name;  // NaN fails as well
    }
  }
}

TEST(Attention, HalfPrecisionCachesAreClose) {
  Shape shape{3, 2, 64, 16, Format::kF32};
  World exact(shape, kLengths);
  const std::vector<float> want = exact.run(make(shape, "ref"), kRagged, 1);
  for (const Format format : {Format::kF16, Format::kBF16}) {
    shape.format = format;
    World world(shape, kLengths);
    for (const std::string& name : vector_names()) {
      EXPECT_LT(squared_error(world.run(make(shape, name), kRagged, 1), want), 5e-4) << name;
    }
  }
}

std::vector<std::string> all_names() {
  std::vector<std::string> names = vector_names();
  names.emplace_back("ref");
  return names;
}

TEST(Attention, SameBitsForAnyWorkersAndCompany) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(describe(shape));
    World world(shape, kLengths);
    for (const std::string& name : all_names()) {
      const Attention attention = make(shape, name);
      const std::vector<float> together = world.run(attention, kRagged, 1);
      for (const int workers : {2, 3, 16}) {
        EXPECT_EQ(world.run(attention, kRagged, workers), together) << name << ", workers " << workers;
      }
      size_t at = 0;
      for (const Step& step : kRagged) {
        const std::vector<float> alone = world.run(attention, {step}, 2);
        EXPECT_TRUE(std::equal(alone.begin(), alone.end(), together.begin() + static_cast<int64_t>(at)))
            << name << ", sequence " << step.sequence;
        at += alone.size();
      }
    }
  }
}

TEST(Attention, SameBitsHoweverThePromptIsCut) {
  for (Shape shape : kShapes) {
    SCOPED_TRACE(describe(shape));
    const int64_t length = 600;
    for (const std::string& name : all_names()) {
      if (name == "ref" && shape.group >= 7) continue;  // slow
      const Attention attention = make(shape, name);
      World whole_world(shape, {length});
      const std::vector<float> whole = whole_world.run(attention, {{0, 0, length}}, 1);
      for (const int64_t piece : {1, 7, 130}) {
        World world(shape, {length});  // keys behind a piece are still poison
        std::vector<float> pieces;
        for (int64_t at = 0; at < length; at += piece) {
          const std::vector<float> out = world.run(attention, {{0, at, std::min(piece, length - at)}}, 1 + at % 3);
          pieces.insert(pieces.end(), out.begin(), out.end());
        }
        ASSERT_EQ(0, std::memcmp(pieces.data(), whole.data(), whole.size() * 4)) << name << ", pieces of " << piece;
      }
    }
  }
}

TEST(Attention, BlockLengthDoesNotChangeBits) {
  for (const std::string& name : all_names()) {
    std::vector<float> first;
    for (const int32_t block_tokens : {16, 32, 64, 128}) {
      const Shape shape{3, 3, 64, block_tokens, Format::kF16};
      World world(shape, kLengths);
      const std::vector<float> out = world.run(make(shape, name), kRagged, 2);
      if (first.empty()) first = out;
      EXPECT_EQ(out, first) << name << ", blocks of " << block_tokens;
    }
  }
}

TEST(Attention, ExtremeScores) {
  for (const Format format : {Format::kF32, Format::kF16}) {
    const Shape shape{3, 1, 64, 16, format};
    World world(shape, kLengths, 1e4f);  // scores of about +-1e4
    const std::vector<float> want = world.run(make(shape, "ref"), kRagged, 1);
    for (const std::string& name : vector_names()) {
      const std::vector<float> got = world.run(make(shape, name), kRagged, 3);
      EXPECT_LT(squared_error(got, want), 1e-6) << name;
    }
  }
}

// Blocks that slid out of every row's window may belong to somebody else: their table entries are not looked at.
TEST(Attention, BlocksBehindTheWindowAreNotRead) {
  const Shape shape{4, 1, 64, 16, Format::kF16, 100};
  for (const std::string& name : all_names()) {
    const Attention attention = make(shape, name);
    World world(shape, {1000});
    const std::vector<Step> step = {{0, 900, 20}};
    const std::vector<float> want = world.run(attention, step, 1);
    for (int64_t p = 0; p + 15 < 900 - 99; p += 16) world.sequence(0).table[static_cast<size_t>(p / 16)] = 1 << 28;
    EXPECT_EQ(world.run(attention, step, 3), want) << name;
  }
}

TEST(Attention, ThreadsGiveTheSameBits) {
  ThreadPool pool(2);
  for (const std::string& name : all_names()) {
    const Shape shape{3, 3, 64, 16, Format::kF16};
    const Attention attention = make(shape, name);
    World world(shape, {5000});
    const std::vector<Step> step = {{0, 4999, 1}};
    const std::vector<float> want = world.run(attention, step, 1);
    for (int i = 0; i < 20; ++i) ASSERT_EQ(world.run(attention, step, pool.size(), &pool), want) << name;
  }
}

TEST(Attention, WorkspaceGrowsWithTheContextOnly) {
  const Attention attention = make({3, 3, 64, 16, Format::kF16}, "ref");
  const uint64_t at_8k = attention.workspace_bytes(512, 8192, 2), at_16k = attention.workspace_bytes(512, 16384, 2);
  EXPECT_EQ(attention.workspace_bytes(4096, 8192, 2), at_8k);
  EXPECT_LT(at_16k, 2 * at_8k);
  EXPECT_LT(at_8k, 1u << 20);
}

TEST(Attention, CostCountsVisibleKeys) {
  const Shape shape{3, 3, 64, 16, Format::kF16};
  const Attention attention = make(shape, "ref");
  const SequenceSlice decode{0, 1, 1023, nullptr};
  const Cost cost = attention.cost({&decode, 1, 1, 1});
  EXPECT_EQ(cost.bytes, 1024.0 * 2 * 3 * 64 * 2 + 8 * 9 * 64);
  EXPECT_EQ(cost.ops, 4.0 * 1024 * 9 * 64);
}

TEST(Attention, RefusesAnUnknownCache) {
  EXPECT_THROW(Attention(desc_of(kShapes[0]), Format::kQ4_K, KernelSelection()), Error);
  EXPECT_EQ(make({1, 1, 24, 16, Format::kF32}, "ref").kernel_name(), "ref");
}

}  // namespace
}  // namespace tern
