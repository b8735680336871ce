#include "kernels/activation/glu.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "paged_cache.h"

namespace tern {
namespace {

using test::random_floats;

constexpr Activation kActivations[] = {Activation::kSilu, Activation::kGelu, Activation::kGeluTanh,
                                       Activation::kClampedSwiglu};

double formula(Activation activation, double x, double up) {
  switch (activation) {
    case Activation::kSilu:
      return x / (1 + std::exp(-x)) * up;
    case Activation::kGelu:
      return x * 0.5 * std::erfc(-x / std::sqrt(2.0)) * up;
    case Activation::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))) * up;
    case Activation::kClampedSwiglu: {
      const double gate = std::min(x, 7.0);
      return gate / (1 + std::exp(-1.702 * gate)) * (std::clamp(up, -7.0, 7.0) + 1);
    }
  }
  return 0;
}

std::vector<float> run(const std::string& name, Activation activation, const std::vector<float>& gate_up, int64_t cols,
                       int threads) {
  const size_t outputs = gate_up.size() / 2;
  std::vector<float> out(outputs + 16, -7);
  const Glu glu(activation, KernelSelection::parse("activation:" + name));
  const GluArgs args{gate_up.data(), out.data(), static_cast<int64_t>(outputs) / cols, cols};
  ThreadPool pool(threads);
  pool.run([&](const Team& team) { glu.run(args, team); });
  for (size_t i = outputs; i < out.size(); ++i) EXPECT_EQ(out[i], -7) << "written past the end";
  out.resize(outputs);
  return out;
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const KernelListing& kernel : glu_listing()) {
    if (kernel.available) all.emplace_back(kernel.name);
  }
  return all;
}

TEST(Glu, FollowsTheFormula) {
  for (const std::string& name : names()) {
    for (const Activation activation : kActivations) {
      for (const int64_t cols : {1, 5, 16, 24, 100, 1536}) {
        for (const float scale : {1.0f, 20.0f}) {
          const auto gate_up = random_floats(static_cast<size_t>(3 * 2 * cols), scale, 1);
          const auto out = run(name, activation, gate_up, cols, 1);
          for (int64_t t = 0; t < 3; ++t) {
            for (int64_t i = 0; i < cols; ++i) {
              const double gate = gate_up[static_cast<size_t>(t * 2 * cols + i)];
              const double up = gate_up[static_cast<size_t>(t * 2 * cols + cols + i)];
              const double want = formula(activation, gate, up);
              // Absolute: 1 + tanh cancels in the reference where the gate is far below zero.
              ASSERT_NEAR(out[static_cast<size_t>(t * cols + i)], want,
                          2e-6 * std::abs(want) + 1e-6 * std::abs(gate) * std::max(1.0, std::abs(up)))
                  << name << " " << static_cast<int>(activation) << " gate " << gate;
            }
          }
        }
      }
    }
  }
}

TEST(Glu, EndsOfTheRange) {
  for (const std::string& name : names()) {
    const std::vector<float> gates = {0, -0.0f, 1e-30f, -1e-30f, 80, -80, 90, -90, 1e4f, -1e4f, 1e30f, -1e30f};
    std::vector<float> gate_up = gates;
    gate_up.insert(gate_up.end(), gates.size(), 1.0f);
    const auto out = run(name, Activation::kSilu, gate_up, static_cast<int64_t>(gates.size()), 1);
    for (size_t i = 0; i < gates.size(); ++i) {
      ASSERT_NEAR(out[i], formula(Activation::kSilu, gates[i], 1), 1e-6 * std::abs(double(gates[i])))
          << name << gates[i];
    }
    const auto nan = run(name, Activation::kSilu, {NAN, 1.0f}, 1, 1);
    EXPECT_TRUE(std::isnan(nan[0])) << name;
  }
}

TEST(Glu, SameBitsAloneAndShared) {
  for (const std::string& name : names()) {
    for (const int64_t cols : {5, 100, 1536}) {
      const auto gate_up = random_floats(static_cast<size_t>(7 * 2 * cols), 2, 1);
      const auto whole = run(name, Activation::kSilu, gate_up, cols, 1);
      EXPECT_EQ(run(name, Activation::kSilu, gate_up, cols, 2), whole);
      for (int64_t t = 0; t < 7; ++t) {
        const std::vector<float> row(gate_up.begin() + t * 2 * cols, gate_up.begin() + (t + 1) * 2 * cols);
        const auto alone = run(name, Activation::kSilu, row, cols, 2);
        EXPECT_TRUE(std::equal(alone.begin(), alone.end(), whole.begin() + t * cols));
      }
    }
  }
}

}  // namespace
}  // namespace tern
