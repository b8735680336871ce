// Log-probabilities on a GPU against log-softmax in f64 over a sorted row.
#include "kernels/sample/logprobs_gpu.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "gpu_case.h"

namespace tern {
namespace {

using test::DeviceMemory;

constexpr double kRounding = 2e-6;  // of f32 exponentials and of the result

class GpuLogprobsOfRows : public test::GpuCase {
 protected:
  GpuLogprobsOfRows() : GpuCase(31) {}
};

std::vector<GpuLogprobs> run(const std::vector<float>& logits, int64_t vocabulary, const std::vector<int32_t>& tokens,
                             const std::vector<int32_t>& wanted, bool overlap = false) {
  const auto rows = static_cast<int64_t>(tokens.size());
  const DeviceMemory d_logits(logits), d_tokens(tokens), d_wanted(wanted);
  const DeviceMemory out(
      std::vector<GpuLogprobs>(tokens.size(), GpuLogprobs{.drawn = 7, .count = -7, .ids = {}, .values = {}}));
  const DeviceMemory workspace(
      std::vector<uint64_t>(static_cast<size_t>(2 * rows * gpu_draw_chunks(vocabulary)), 0x77));
  test::done(kGpuLogprobsSm80.run({.logits = reinterpret_cast<const float*>(d_logits.data()),
                                   .tokens = reinterpret_cast<const int32_t*>(d_tokens.data()),
                                   .wanted = reinterpret_cast<const int32_t*>(d_wanted.data()),
                                   .out = reinterpret_cast<GpuLogprobs*>(out.data()),
                                   .workspace = reinterpret_cast<uint64_t*>(workspace.data()),
                                   .rows = rows,
                                   .vocabulary = vocabulary,
                                   .overlap = overlap},
                                  nullptr));
  return out.to_host<GpuLogprobs>();
}

void expect_row(const std::vector<float>& row, int32_t token, int32_t wanted, const GpuLogprobs& got) {
  std::vector<int32_t> ids(row.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto at = [&](int32_t id) { return static_cast<double>(row[static_cast<size_t>(id)]); };
  std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) { return at(a) > at(b); });
  double sum = 0;
  for (const int32_t id : ids) sum += std::exp(at(id) - at(ids[0]));
  const double log_sum = at(ids[0]) + std::log(sum);
  const auto near = [&](double got_value, int32_t id) {
    const double want = at(id) - log_sum;
    return got_value == want || std::abs(got_value - want) <= kRounding * std::max(1.0, std::abs(want));
  };
  EXPECT_TRUE(near(static_cast<double>(got.drawn), token)) << got.drawn << " of " << token;
  ASSERT_EQ(got.count, std::min<int64_t>(wanted, static_cast<int64_t>(row.size())));
  for (int32_t i = 0; i < got.count; ++i) {
    EXPECT_EQ(got.ids[i], ids[static_cast<size_t>(i)]) << i;
    EXPECT_TRUE(near(static_cast<double>(got.values[i]), got.ids[i])) << i << ": " << got.values[i];
  }
}

TEST_F(GpuLogprobsOfRows, AreThoseOfTheDefinition) {
  for (const float spread : {0.0f, 0.01f, 1.0f, 5.0f}) {  // equal logits: the lower ids
    for (const int64_t vocabulary : {1, 19, 50, 2048, 5000, 49152, 151936}) {
      std::vector<float> logits = floats(6 * vocabulary);
      for (float& logit : logits) logit *= spread;
      const std::vector<int32_t> wanted{20, 0, -1, 5, 20, 1};
      std::vector<int32_t> tokens;
      for (size_t r = 0; r < wanted.size(); ++r) tokens.push_back(static_cast<int32_t>(random_() % vocabulary));
      tokens[4] = -1;
      const auto got = run(logits, vocabulary, tokens, wanted, vocabulary % 2 == 0);
      for (size_t r = 0; r < wanted.size(); ++r) {
        const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(r) * vocabulary;
        SCOPED_TRACE("spread " + std::to_string(spread) + ", vocabulary " + std::to_string(vocabulary) + ", row " +
                     std::to_string(r));
        if (wanted[r] < 0 || tokens[r] < 0) {
          EXPECT_EQ(got[r].count, -7);
        } else {
          expect_row({begin, begin + vocabulary}, tokens[r], wanted[r], got[r]);
        }
      }
    }
  }
}

TEST_F(GpuLogprobsOfRows, OfMaskedColumnsAreMinusInfinity) {
  constexpr int64_t kVocabulary = 6000;
  std::vector<float> logits(kVocabulary, -INFINITY);
  logits[5500] = 2.0f;
  logits[1] = 1.0f;
  const auto got = run(logits, kVocabulary, {5500}, {4});
  expect_row(logits, 5500, 4, got[0]);
  EXPECT_EQ(got[0].ids[2], 0);
  EXPECT_EQ(got[0].values[2], -INFINITY);
}

}  // namespace
}  // namespace tern
