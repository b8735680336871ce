// Short convolutions: the formula, and states that survive any cut of a prompt.
#include "kernels/conv/short_conv.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "paged_cache.h"

namespace tern {
namespace {

using test::random_floats;

constexpr int64_t kChannels = 40, kLength = 3, kTokens = 70;
constexpr int32_t kBlockTokens = 16;

// A sequence over a cache of its own, whose blocks lie in reverse order and hold what is no number.
class World {
 public:
  explicit World(const std::vector<float>& in) : in_(in), pool_(6 * kStateFloats, NAN), table_(6) {
    std::iota(table_.rbegin(), table_.rend(), 0);
  }
  // Tokens [begin, end), the earlier ones having been run.
  void run(int64_t begin, int64_t end, int threads) {
    const SequenceSlice slice{0, static_cast<int32_t>(end - begin), static_cast<int32_t>(begin), table_.data()};
    ThreadPool pool(threads, {.pin = false});
    const ShortConvArgs args{.in = in_.data() + begin * 3 * kChannels,
                             .in_stride = 3 * kChannels,
                             .out = out.data() + begin * kChannels,
                             .out_stride = kChannels,
                             .weight = weight.data(),
                             .channels = kChannels,
                             .length = kLength,
                             .state = {reinterpret_cast<std::byte*>(pool_.data()), kStateFloats * 4, 0, kBlockTokens},
                             .batch = {&slice, 1, static_cast<int32_t>(end - begin), 0}};
    pool.run([&](const Team& team) { short_conv(args, team); });
  }
  std::vector<float> weight = random_floats(kChannels * kLength, 1, 9);
  std::vector<float> out = std::vector<float>(kTokens * kChannels);

 private:
  static constexpr int64_t kStateFloats = (kLength - 1) * kChannels;
  const std::vector<float>& in_;
  std::vector<float> pool_;
  std::vector<int32_t> table_;
};

TEST(ShortConv, FollowsTheFormula) {
  const auto in = random_floats(kTokens * 3 * kChannels, 1, 3);
  World world(in);
  world.run(0, kTokens, 1);
  for (int64_t t = 0; t < kTokens; ++t) {
    for (int64_t c = 0; c < kChannels; ++c) {
      double sum = 0;
      for (int64_t i = 0; i < kLength; ++i) {
        const int64_t at = t - kLength + 1 + i;
        if (at < 0) continue;
        const float* row = in.data() + at * 3 * kChannels;
        sum += double(world.weight[static_cast<size_t>(c * kLength + i)]) * row[c] * row[2 * kChannels + c];
      }
      const double want = sum * in[static_cast<size_t>((t * 3 + 1) * kChannels + c)];
      ASSERT_NEAR(world.out[static_cast<size_t>(t * kChannels + c)], want, 1e-5) << t << " " << c;
    }
  }
}

TEST(ShortConv, SameBitsHoweverCutAndShared) {
  const auto in = random_floats(kTokens * 3 * kChannels, 1, 3);
  World whole(in);
  whole.run(0, kTokens, 1);
  for (const int64_t piece : {1, 2, 7, 16, 33}) {
    World world(in);
    for (int64_t t = 0; t < kTokens; t += piece) world.run(t, std::min(t + piece, kTokens), 1 + t % 2);
    EXPECT_EQ(world.out, whole.out) << piece;
  }
}

// A block that is full keeps the state at its end: another sequence may go on from it.
TEST(ShortConv, GoesOnFromAFullBlock) {
  const auto in = random_floats(kTokens * 3 * kChannels, 1, 3);
  World whole(in);
  whole.run(0, kTokens, 1);
  const std::vector<float> once = whole.out;
  whole.run(32, kTokens, 2);  // the block of tokens 16 to 31 has not been written again
  EXPECT_EQ(whole.out, once);
}

}  // namespace
}  // namespace tern
