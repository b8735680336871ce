// Draws on a GPU against the definition in f64 over a sorted row: the same token, save where the draw falls within the
// rounding of the weights of a border.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "kernels/sample/draw_gpu.h"
#include "support/device_memory.h"

namespace tern {
namespace {

using test::DeviceMemory;

class GpuDraws : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::has_device()) GTEST_SKIP() << "no GPU";
  }
  std::vector<float> row(int64_t vocabulary, float spread) {
    std::normal_distribution<float> normal(0, spread);
    std::vector<float> out(static_cast<size_t>(vocabulary));
    for (float& value : out) value = normal(random_);
    return out;
  }
  std::mt19937_64 random_{11};
};

std::vector<int32_t> draw(const std::vector<float>& logits, int64_t vocabulary, const std::vector<GpuDraw>& draws,
                          bool greedy = false, bool overlap = false) {
  const auto rows = static_cast<int64_t>(draws.size());
  const int64_t chunks = gpu_draw_chunks(vocabulary);
  const DeviceMemory d_logits(logits), d_draws(draws), tokens(std::vector<int32_t>(draws.size(), -7));
  const DeviceMemory workspace(std::vector<uint64_t>(static_cast<size_t>(2 * rows * chunks), 0x7777));
  const int error = kGpuDrawSm80.run({.logits = reinterpret_cast<const float*>(d_logits.data()),
                                      .draws = reinterpret_cast<const GpuDraw*>(d_draws.data()),
                                      .tokens = reinterpret_cast<int32_t*>(tokens.data()),
                                      .workspace = reinterpret_cast<uint64_t*>(workspace.data()),
                                      .rows = rows,
                                      .vocabulary = vocabulary,
                                      .greedy = greedy,
                                      .overlap = overlap},
                                     nullptr);
  EXPECT_EQ(error, cudaSuccess) << cudaGetErrorString(static_cast<cudaError_t>(error));
  test::check_cuda(cudaDeviceSynchronize(), "synchronize");
  return tokens.to_host<int32_t>();
}

// Of the tokens that may be drawn, in the order in which the draw walks them: where each one's share of the unit ends.
struct Walk {
  std::vector<int32_t> ids;
  std::vector<double> ends;
};

Walk walk_of(const std::vector<float>& row, const GpuDraw& params) {
  std::vector<int32_t> ids(row.size());
  std::iota(ids.begin(), ids.end(), 0);
  const bool sorted = params.top_k > 0 || params.top_p < 1.0f;
  const auto at = [&](int32_t id) { return row[static_cast<size_t>(id)]; };
  if (sorted) std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) { return at(a) > at(b); });
  const double best = *std::max_element(row.begin(), row.end());
  const auto weight = [&](int32_t id) {
    const double scaled = (at(id) - best) * static_cast<double>(params.inverse_temperature);
    return scaled >= static_cast<double>(params.log_min_p) ? std::exp(scaled) : 0.0;
  };
  if (params.top_k > 0 && ids.size() > static_cast<size_t>(params.top_k)) ids.resize(static_cast<size_t>(params.top_k));
  double total = 0;
  for (int32_t id : ids) total += weight(id);
  Walk walk;
  double sum = 0;
  for (int32_t id : ids) {
    walk.ids.push_back(id);
    walk.ends.push_back(sum += weight(id));
    if (params.top_p < 1.0f && sum >= static_cast<double>(params.top_p) * total) break;
  }
  for (double& end : walk.ends) end /= sum;
  return walk;
}

// Whether `token` may be the draw, with a share's ends taken as rounded.
::testing::AssertionResult is_draw(const std::vector<float>& row, const GpuDraw& params, int32_t token) {
  constexpr double kRounding = 2e-6;  // of f32 exponentials, summed
  const Walk walk = walk_of(row, params);
  const double unit = static_cast<double>(params.random) * 0x1p-64;
  const auto found = std::find(walk.ids.begin(), walk.ids.end(), token);
  if (found == walk.ids.end()) return ::testing::AssertionFailure() << token << " may not be drawn";
  const auto i = static_cast<size_t>(found - walk.ids.begin());
  const double begin = i == 0 ? 0 : walk.ends[i - 1];
  if (unit >= begin - kRounding && unit < walk.ends[i] + kRounding) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << token << " holds " << begin << " to " << walk.ends[i] << ", drawn was "
                                       << unit;
}

TEST_F(GpuDraws, GreedyTakesTheFirstOfTheBest) {
  for (int64_t vocabulary : {1, 37, 1024, 1025, 49152, 128256, 262144}) {
    auto logits = row(3 * vocabulary, 2.0f);
    std::vector<int32_t> want;
    for (int64_t r = 0; r < 3; ++r) {
      const auto begin = logits.begin() + r * vocabulary, end = begin + vocabulary;
      const auto best = std::max_element(begin, end);
      begin[vocabulary - 1] = *best;  // a tie
      want.push_back(static_cast<int32_t>(std::find(begin, end, *best) - begin));
    }
    const std::vector<GpuDraw> draws(3, {0, -80, 1, 0, 0, 0});
    EXPECT_EQ(draw(logits, vocabulary, draws, true), want) << vocabulary;
    EXPECT_EQ(draw(logits, vocabulary, draws, false, true), want) << vocabulary;
  }
}

TEST_F(GpuDraws, RowsWithoutATokenSaySo) {
  for (const float bad : {NAN, INFINITY, -NAN}) {
    auto logits = row(2 * 3000, 1.0f);
    logits[2500] = bad;
    const std::vector<GpuDraw> draws(2, {1, -80, 0.9f, 0, 1ull << 63, 0});
    const auto tokens = draw(logits, 3000, draws);
    EXPECT_EQ(tokens[0], -1);
    EXPECT_GE(tokens[1], 0);
  }
  EXPECT_EQ(draw(std::vector<float>(100, -INFINITY), 100, {{0, -80, 1, 0, 0, 0}}), std::vector<int32_t>{-1});
}

TEST_F(GpuDraws, AreThoseOfTheDefinition) {
  const GpuDraw kinds[] = {{1.0f, -80, 1, 0, 0, 0},
                           {1.4f, -80, 0.9f, 0, 0, 0},
                           {0.7f, -80, 1, 40, 0, 0},
                           {1.0f, std::log(0.05f), 1, 0, 0, 0},
                           {1.0f, -80, 0.5f, 50, 0, 0},
                           {1.0f, -80, 1, 1, 0, 0},
                           {1.0f, std::log(0.1f), 0.8f, 20, 0, 0},
                           {0.5f, -80, 0.999f, 0, 0, 0},
                           {1.0f, -80, 1, 3000, 0, 0}};
  for (const float spread : {0.05f, 1.0f, 4.0f}) {  // nearly flat, as tiny models are, as trained ones are
    for (int64_t vocabulary : {50, 4096, 49152, 151936}) {
      std::vector<GpuDraw> draws;
      for (GpuDraw draw : kinds) {
        for (int i = 0; i < 3; ++i) {
          draw.random = random_();
          draws.push_back(draw);
        }
      }
      const auto logits = row(static_cast<int64_t>(draws.size()) * vocabulary, spread);
      const auto tokens = draw(logits, vocabulary, draws);
      for (size_t r = 0; r < draws.size(); ++r) {
        const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(r) * vocabulary;
        ASSERT_TRUE(is_draw({begin, begin + vocabulary}, draws[r], tokens[r]))
            << "vocabulary " << vocabulary << ", spread " << spread << ", row " << r;
      }
    }
  }
}

TEST_F(GpuDraws, TiesGoToTheLowerId) {
  const std::vector<float> logits(20000, 1.5f);
  GpuDraw top{1.0f, -80, 1, 5000, 0, 0};
  for (int i = 0; i < 8; ++i) {
    top.random = random_();
    const auto want = static_cast<int32_t>(static_cast<double>(top.random) * 0x1p-64 * 5000);
    EXPECT_NEAR(draw(logits, 20000, {top})[0], want, 1);
  }
}

TEST_F(GpuDraws, DependOnTheirRowAlone) {
  constexpr int64_t kVocabulary = 32000;
  const auto logits = row(64 * kVocabulary, 3.0f);
  std::vector<GpuDraw> draws;
  for (int i = 0; i < 64; ++i) draws.push_back({0.8f, -80, i % 2 ? 0.95f : 1.0f, i % 3 ? 0 : 100, random_(), 0});
  const auto together = draw(logits, kVocabulary, draws);
  for (size_t r = 0; r < 64; r += 7) {
    const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(r) * kVocabulary;
    EXPECT_EQ(draw({begin, begin + kVocabulary}, kVocabulary, {draws[r]})[0], together[r]);
  }
}

}  // namespace
}  // namespace tern
