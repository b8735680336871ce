#include "kernels/attention/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <string>

#include "attention_world.h"
#include "core/error.h"

namespace tern {
namespace {

using namespace test;  // NOLINT: the world of these tests

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
    {4, 2, 64, 16, Format::kF32, 100, 0, true},
    {8, 1, 64, 16, Format::kF16, 0, 0, true},
    {4, 2, 64, 16, Format::kF32, 100, 0, false, true},
    {5, 1, 128, 64, Format::kBF16, 64, 0, false, true},
    {3, 1, 64, 64, Format::kF16, 17, 0, false, true},
    {4, 1, 576, 16, Format::kF16},
    {4, 1, 576, 16, Format::kF32},
    {3, 3, 64, 16, kKvInt8},
    {7, 1, 128, 64, kKvInt8},
    {4, 2, 80, 16, kKvInt8, 100},
    {1, 2, 16, 32, kKvInt8, 17, 30.0f},
    {64, 1, 16, 16, kKvInt8, 0, 5.0f},
    {8, 1, 64, 16, kKvInt8, 0, 0, true},
    {4, 2, 80, 16, kKvInt8, 100, 0, false, true},
};

const std::vector<int64_t> kLengths = {1, 350, 17, 600, 1501, 100, 64};
const std::vector<Step> kRagged = {{0, 0, 1},    {1, 333, 17}, {2, 0, 17}, {3, 500, 100},
                                   {4, 1500, 1}, {5, 97, 3},   {6, 63, 1}};

// One query row by the formula in double precision.
std::vector<double> formula(World& world, const Shape& shape, int sequence, int64_t position, int64_t head) {
  const AttentionDesc desc = desc_of(shape);
  Sequence& s = world.sequence(sequence);
  const int64_t first = shape.chunked      ? position / shape.window * shape.window
                        : shape.window > 0 ? std::max<int64_t>(0, position - shape.window + 1)
                                           : 0;
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
  if (desc.sinks != nullptr) sum += std::exp(static_cast<double>(desc.sinks[head]) - max);
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
  std::map<std::string, double> worst;
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(describe(shape));
    World world(shape, kLengths);
    const std::vector<float> want = world.run(make(shape, "ref"), kRagged, 1);
    for (const std::string& name : vector_names(shape)) {
      const Attention attention = make(shape, name);
      ASSERT_TRUE(name == attention.kernel_name() || name == kEmulated + attention.kernel_name());
      const double error = squared_error(world.run(attention, kRagged, 1), want);
      EXPECT_LT(error, most_error(name)) << name;  // NaN fails as well
      worst[name] = std::max(worst[name], error);
    }
  }
  for (const auto& [name, error] : worst) std::printf("%s: normalized squared error up to %.1e\n", name.c_str(), error);
}

TEST(Attention, NarrowCachesAreClose) {
  Shape shape{3, 2, 64, 16, Format::kF32};
  World exact(shape, kLengths);
  const std::vector<float> want = exact.run(make(shape, "ref"), kRagged, 1);
  for (const Format format : {Format::kF16, Format::kBF16, kKvInt8}) {
    shape.format = format;
    World world(shape, kLengths);
    for (const std::string& name : vector_names(shape)) {
      EXPECT_LT(squared_error(world.run(make(shape, name), kRagged, 1), want), 5e-4) << name;
    }
  }
}

TEST(Attention, SameBitsForAnyWorkersAndCompany) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(describe(shape));
    World world(shape, kLengths);
    for (const std::string& name : all_names(shape)) {
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
    for (const std::string& name : all_names(shape)) {
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
  for (const Format format : {Format::kF16, kKvInt8}) {
    for (const std::string& name : all_names({3, 3, 64, 16, format})) {
      std::vector<float> first;
      for (const int32_t block_tokens : {16, 32, 64, 128}) {
        const Shape shape{3, 3, 64, block_tokens, format};
        World world(shape, kLengths);
        const std::vector<float> out = world.run(make(shape, name), kRagged, 2);
        if (first.empty()) first = out;
        EXPECT_EQ(out, first) << name << ", blocks of " << block_tokens;
      }
    }
  }
}

// Scores of about +-1e4: one key takes all. Operands of 8 bits may take another one where two nearly tie.
TEST(Attention, ExtremeScores) {
  for (const Format format : {Format::kF32, Format::kF16, kKvInt8}) {
    const Shape shape{3, 1, 64, 16, format};
    World world(shape, kLengths, 1e4f);
    const std::vector<float> want = world.run(make(shape, "ref"), kRagged, 1);
    for (const std::string& name : vector_names(shape)) {
      const std::vector<float> got = world.run(make(shape, name), kRagged, 3);
      EXPECT_LT(squared_error(got, want), most_error(name) > 1e-6 ? 5e-2 : 1e-6) << name;
    }
  }
}

// Blocks that slid out of every row's window may belong to somebody else: their table entries are not looked at.
TEST(Attention, BlocksBehindTheWindowAreNotRead) {
  const Shape shape{4, 1, 64, 16, Format::kF16, 100};
  for (const std::string& name : all_names(shape)) {
    const Attention attention = make(shape, name);
    World world(shape, {1000});
    const std::vector<Step> step = {{0, 900, 20}};
    const std::vector<float> want = world.run(attention, step, 1);
    for (int64_t p = 0; p + 15 < 900 - 99; p += 16) world.sequence(0).table[static_cast<size_t>(p / 16)] = 1 << 28;
    EXPECT_EQ(world.run(attention, step, 3), want) << name;
  }
}

// Few workers walk all KV heads of a chunk together, many take a head each.
TEST(Attention, ThreadsGiveTheSameBits) {
  ThreadPool pool(2);
  for (const Format format : {Format::kF16, kKvInt8}) {
    const Shape shape{3, 3, 64, 16, format};
    for (const std::string& name : all_names(shape)) {
      const Attention attention = make(shape, name);
      World world(shape, {5000});
      const std::vector<Step> step = {{0, 4999, 1}};
      const std::vector<float> want = world.run(attention, step, 1);
      EXPECT_EQ(world.run(attention, step, 16), want) << name;
      for (int i = 0; i < 20; ++i) ASSERT_EQ(world.run(attention, step, pool.size(), &pool), want) << name;
    }
  }
}

TEST(Attention, WorkspaceOfALongContextIsSmall) {
  const Attention attention = make({3, 3, 64, 16, Format::kF16}, "ref");
  const uint64_t at_8k = attention.workspace_bytes(8192, 2), at_16k = attention.workspace_bytes(16384, 2);
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
  const Cost coded = make({3, 3, 64, 16, kKvInt8}, "ref").cost({&decode, 1, 1, 1});
  EXPECT_EQ(coded.bytes, 1024.0 * 2 * 3 * (64 + 4) + 8 * 9 * 64);  // codes and a scale
}

// An implementation with large blocks has them cut among workers between rows.
TEST(Attention, ManyRowsAreCutBetweenThem) {
  AttentionImpl wide = *kAttentionRef.rows;
  wide.block_rows = 4 * kAttentionRows;
  for (const Shape& shape : {Shape{3, 3, 16, 16, Format::kF16}, Shape{7, 1, 16, 16, Format::kF16, 100}}) {
    World world(shape, kLengths);
    const std::vector<float> want = world.run(make(shape, "ref"), kRagged, 1);
    const Attention attention(desc_of(shape), shape.format, wide);
    for (const int workers : {1, 2, 3, 16}) EXPECT_EQ(world.run(attention, kRagged, workers), want) << workers;
  }
}

// By default no row that the listing calls slow, where there is another one.
TEST(Attention, TheDefaultIsFast) {
  for (const Shape& shape : kShapes) {
    const Attention attention(desc_of(shape), shape.format, KernelSelection());
    const std::vector<std::string> names = vector_names(shape);
    std::vector<std::string> fast;
    for (const KernelListing& kernel : attention_listing()) {
      if (kernel.fast && std::ranges::find(names, kernel.name) != names.end()) fast.emplace_back(kernel.name);
    }
    EXPECT_EQ(attention.kernel_name(), !fast.empty() ? fast[0] : !names.empty() ? names[0] : "ref") << describe(shape);
  }
}

TEST(Attention, RefusesAnUnknownCache) {
  EXPECT_THROW(Attention(desc_of(kShapes[0]), Format::kQ4_K, KernelSelection()), Error);
  EXPECT_EQ(make({1, 1, 24, 16, Format::kF32}, "ref").kernel_name(), "ref");
}

}  // namespace
}  // namespace tern
