// Attention on random and on adversarial shapes and numbers, every implementation against ref.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>

#include "attention_world.h"

namespace tern {
namespace {

using namespace test;  // NOLINT: the world of these tests

TEST(AttentionShapes, RandomOnesFollowRef) {
  std::mt19937_64 random(7);
  const auto one_of = [&](const auto& from) { return from[random() % std::size(from)]; };
  const int64_t histories[] = {0, 1, 15, 16, 63, 64, 65, 255, 256, 300, 1000, 4097};
  for (int i = 0; i < 40; ++i) {
    Shape shape{};
    shape.group = 1 + i % 8;
    shape.kv_heads = one_of(std::array{1, 2, 3});
    shape.head_dim = one_of(std::array{64, 80, 96, 128, 256});
    shape.block_tokens = one_of(std::array{16, 32, 64, 128});
    shape.format = i % 2 == 0 ? kKvInt8 : one_of(std::array{Format::kF32, Format::kF16, Format::kBF16});
    shape.window = one_of(std::array{0, 0, 5, 64, 100, 1000});
    shape.soft_cap = one_of(std::array{0.0f, 0.0f, 5.0f});
    shape.chunked = shape.window > 0 && i % 3 == 0;
    SCOPED_TRACE(describe(shape));
    std::vector<int64_t> lengths;
    std::vector<Step> steps;
    for (int s = 0; s < 3; ++s) {
      const int64_t history = one_of(histories), query = one_of(std::array{1, 1, 2, 9});
      lengths.push_back(history + query);
      steps.push_back({s, history, query});
    }
    World world(shape, lengths, one_of(std::array{0.1f, 1.0f, 2.0f}), random());
    const std::vector<float> want = world.run(make(shape, "ref"), steps, 1);
    for (const std::string& name : vector_names(shape)) {
      const std::vector<float> got = world.run(make(shape, name), steps, 1 + i % 4);
      EXPECT_LT(squared_error(got, want), most_error(name)) << name;
    }
  }
}

// The int8 cache against exact keys and values: the whole loss of the format.
TEST(AttentionShapes, Int8LosesLittle) {
  for (const int32_t head_dim : {64, 96, 128, 256}) {
    Shape shape{4, 2, head_dim, 16, Format::kF32};
    World exact(shape, {4098, 70});
    const std::vector<Step> steps = {{0, 4090, 8}, {1, 0, 70}};
    const std::vector<float> want = exact.run(make(shape, "ref"), steps, 1);
    shape.format = kKvInt8;
    for (const std::string& name : all_names(shape)) {
      World world(shape, {4098, 70});
      EXPECT_LT(squared_error(world.run(make(shape, name), steps, 1), want), 5e-4) << name << " " << head_dim;
    }
  }
}

const Shape kPlain[] = {{3, 2, 64, 16, kKvInt8}, {7, 1, 96, 64, kKvInt8}, {3, 2, 64, 16, Format::kF32}};

TEST(AttentionShapes, HugeTinyAndZeroNumbers) {
  struct Case {
    float q, k, v;
  };
  for (const Shape& shape : kPlain) {
    for (const Case c : {Case{1e10f, 1e-10f, 1e30f}, Case{1e-20f, 1e20f, 1e-20f}, Case{0, 1, 1}, Case{1, 0, 1},
                         Case{1, 1, 0}, Case{1e-40f, 1, 1}, Case{1, 1e-40f, 1}}) {
      World world(shape, {700, 40});
      for (int s = 0; s < 2; ++s) {
        for (float& x : world.sequence(s).q) x *= c.q;
        for (float& x : world.sequence(s).k) x *= c.k;
        for (float& x : world.sequence(s).v) x *= c.v;
      }
      const std::vector<Step> steps = {{0, 695, 5}, {1, 0, 40}};
      const std::vector<float> want = world.run(make(shape, "ref"), steps, 1);
      for (const std::string& name : vector_names(shape)) {
        const std::vector<float> got = world.run(make(shape, name), steps, 2);
        if (c.v == 0) {
          EXPECT_TRUE(std::ranges::all_of(got, [](float x) { return x == 0; })) << name;
        } else {
          EXPECT_LT(squared_error(got, want), most_error(name)) << name << " " << c.q << " " << c.k;
        }
      }
    }
  }
}

// A key that draws nearly all weight and has next to no value, as the first token of real models: what is left over for
// the others decides the result, and a tile's codes must resolve it.
TEST(AttentionShapes, ASinkDoesNotDrownTheOthers) {
  for (const Shape& shape : kPlain) {
    World world(shape, {600});
    Sequence& s = world.sequence(0);
    for (size_t i = 0; i < static_cast<size_t>(world.kv_cols()); ++i) {
      s.v[i] *= 1e-3f;
      s.k[i] = 6;
    }
    for (float& x : s.q) x = std::abs(x) * 0.2f;
    const std::vector<Step> steps = {{0, 590, 10}};
    const std::vector<float> want = world.run(make(shape, "ref"), steps, 1);
    for (const std::string& name : vector_names(shape)) {
      EXPECT_LT(squared_error(world.run(make(shape, name), steps, 1), want), 5e-4) << name;
    }
  }
}

// The engine withdraws what is not finite, so it has to come out.
TEST(AttentionShapes, WhatIsNotFiniteComesOutWhereItIsSeenAndNowhereElse) {
  for (const Shape& shape : kPlain) {
    for (const float poison : {NAN, INFINITY, -INFINITY}) {
      for (const bool value : {false, true}) {
        World world(shape, {300}), clean(shape, {300});
        auto& numbers = value ? world.sequence(0).v : world.sequence(0).k;
        numbers[static_cast<size_t>(150 * world.kv_cols() + 7)] = poison;  // token 150, KV head 0
        for (const std::string& name : all_names(shape)) {
          const Attention attention = make(shape, name);
          const std::vector<float> before = world.run(attention, {{0, 100, 50}}, 1);
          EXPECT_EQ(before, clean.run(attention, {{0, 100, 50}}, 1)) << name;
          if (shape.format != kKvInt8) continue;  // elsewhere only what is touched is lost
          const std::vector<float> after = world.run(attention, {{0, 290, 10}}, 1);
          for (int64_t t = 0; t < 10; ++t) {
            for (int64_t d = 0; d < shape.group * shape.head_dim; ++d) {
              ASSERT_FALSE(std::isfinite(after[static_cast<size_t>(t * world.q_cols() + d)])) << name << " " << poison;
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace tern
