// What biases and penalties make of rows of logits: the reference, by hand.
#include "kernels/sample/adjust_gpu.h"

#include <gtest/gtest.h>

#include <vector>

namespace tern {
namespace {

constexpr int64_t kVocabulary = 6;

std::vector<float> adjusted(const std::vector<float>& logits, const std::vector<GpuAdjust>& rows,
                            const std::vector<GpuBias>& biases, const std::vector<GpuTokenCount>& counts) {
  std::vector<float> out(logits.size(), -99.0f);
  adjust_rows_ref({.logits = logits.data(),
                   .adjusts = rows.data(),
                   .biases = biases.data(),
                   .counts = counts.data(),
                   .adjusted = out.data(),
                   .rows = static_cast<int64_t>(rows.size()),
                   .vocabulary = kVocabulary,
                   .overlap = false});
  return out;
}

TEST(AdjustedRows, FollowTheFormulasInTheirOrder) {
  const std::vector<float> logits{2, -2, 2, -2, 1, 0.5f};
  const std::vector<GpuTokenCount> counts{9, 9, 9, 9, 9, 9, /* slot 1 */ kGpuInPrompt, kGpuInPrompt | 1, 3, 0, 1, 0};
  const GpuAdjust row{.repetition_penalty = 2,
                      .presence_penalty = 0.5f,
                      .frequency_penalty = 0.25f,
                      .slot = 1,
                      .first_bias = 1,
                      .biases = 3};
  const std::vector<GpuBias> biases{{0, 100}, {4, -3}, {5, 1.5f}, {kVocabulary, 8}};
  // In the prompt: the repetition alone. The biased 1 - 3 is below 0 when the repetition penalty comes to it.
  const std::vector<float> want{1, -4 - 0.75f, 1 - 1.25f, -2, -4 - 0.75f, 2};
  EXPECT_EQ(adjusted(logits, {row}, biases, counts), want);
}

TEST(AdjustedRows, OthersAreNotWritten) {
  const std::vector<float> logits(2 * kVocabulary, 1.0f);
  const GpuAdjust biased{.first_bias = 0, .biases = 1};
  const std::vector<float> out = adjusted(logits, {GpuAdjust{}, biased}, {{2, 4}}, {});
  for (size_t i = 0; i < kVocabulary; ++i) EXPECT_EQ(out[i], -99.0f);
  EXPECT_EQ(out[kVocabulary + 2], 5.0f);
  EXPECT_EQ(out[kVocabulary + 3], 1.0f);
}

TEST(AdjustedRows, CountsEndAtTheMost) {
  EXPECT_EQ(counted_once_more(0), 1);
  EXPECT_EQ(counted_once_more(kGpuInPrompt), kGpuInPrompt | 1);
  EXPECT_EQ(counted_once_more(kGpuMostCounted), kGpuMostCounted);
  EXPECT_EQ(counted_once_more(kGpuInPrompt | kGpuMostCounted), kGpuInPrompt | kGpuMostCounted);
}

}  // namespace
}  // namespace tern
