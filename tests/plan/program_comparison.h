// Programs and rotations held against each other, field by field.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>

#include "model/config.h"
#include "model/program.h"

namespace tern::test {

inline bool same(const WeightUse& a, const WeightUse& b) {
  return a.role == b.role && a.layer == b.layer && a.rows == b.rows && a.cols == b.cols && a.first_row == b.first_row &&
         a.experts == b.experts && a.plus == b.plus && a.bias == b.bias;
}

inline bool same_uses(const std::vector<WeightUse>& a, const std::vector<WeightUse>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const WeightUse& x, const WeightUse& y) { return same(x, y); });
}

inline bool same_operands(const std::vector<Operand>& a, const std::vector<Operand>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Operand& x, const Operand& y) {
    return x.buffer == y.buffer && x.begin == y.begin && x.cols == y.cols;
  });
}

inline bool same(const Op& a, const Op& b) {
  return a.kind == b.kind && a.layer == b.layer && same_operands(a.inputs, b.inputs) &&
         same_operands(a.outputs, b.outputs) && same_uses(a.weights, b.weights) && same_uses(a.biases, b.biases) &&
         a.cache_group == b.cache_group && a.eps == b.eps && a.centered == b.centered && a.causal == b.causal &&
         a.scale == b.scale && a.soft_cap == b.soft_cap && a.route.experts == b.route.experts &&
         a.route.used == b.route.used && a.route.normalized == b.route.normalized && a.rope == b.rope &&
         a.route.sigmoid == b.route.sigmoid && a.route.scale == b.route.scale && a.activation == b.activation;
}

inline void expect_same(const Program& a, const Program& b) {
  ASSERT_EQ(a.ops.size(), b.ops.size());
  for (size_t i = 0; i < a.ops.size(); ++i) ASSERT_TRUE(same(a.ops[i], b.ops[i])) << i << "\n" << to_string(a);
  ASSERT_EQ(a.caches.size(), b.caches.size());
  for (size_t i = 0; i < a.caches.size(); ++i) {
    EXPECT_EQ(a.caches[i].layers, b.caches[i].layers);
    EXPECT_EQ(a.caches[i].window, b.caches[i].window);
    EXPECT_EQ(a.caches[i].head_dim, b.caches[i].head_dim);
  }
  EXPECT_EQ(a.attention.scale, b.attention.scale);
  EXPECT_EQ(a.attention.rope_dims, b.attention.rope_dims);
  EXPECT_EQ(a.attention.rope_style, b.attention.rope_style);
  EXPECT_EQ(a.vocabulary, b.vocabulary);
}

inline void expect_same(const RopeConfig& a, const RopeConfig& b) {
  EXPECT_EQ(a.style, b.style);
  EXPECT_EQ(a.theta, b.theta);
  EXPECT_EQ(a.dims, b.dims);
  EXPECT_EQ(a.scaling, b.scaling);
  EXPECT_EQ(a.factor, b.factor);
  EXPECT_EQ(a.low_frequency_factor, b.low_frequency_factor);
  EXPECT_EQ(a.high_frequency_factor, b.high_frequency_factor);
  EXPECT_EQ(a.beta_fast, b.beta_fast);
  EXPECT_EQ(a.beta_slow, b.beta_slow);
  EXPECT_EQ(a.attention_factor, b.attention_factor);
  EXPECT_EQ(a.original_context, b.original_context);
  EXPECT_EQ(a.short_factors, b.short_factors);
  EXPECT_EQ(a.long_factors, b.long_factors);
}

}  // namespace tern::test
