// Gated delta nets: the formula, both orders of a row, and states that survive any cut of a prompt.
#include "kernels/delta/gated_delta.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "paged_cache.h"

namespace tern {
namespace {

using test::random_floats;

constexpr DeltaFacts kFacts{.key_heads = 3, .value_heads = 6, .key_dim = 8, .value_dim = 5, .conv_length = 4};
constexpr int64_t kTokens = 70, kBlocks = 6, kRates = 2 * kFacts.value_heads;
constexpr int32_t kBlockTokens = 16;
constexpr float kEps = 1e-6f;

struct Inputs {
  std::vector<float> qkv = random_floats(kTokens * kFacts.channels(), 1, 3);
  std::vector<float> z = random_floats(kTokens * kFacts.values(), 2, 4);
  std::vector<float> ba = random_floats(kTokens * kRates, 2, 5);
  std::vector<float> conv = random_floats(kFacts.channels() * kFacts.conv_length, 1, 6);
  std::vector<float> bias = random_floats(kFacts.value_heads, 1, 7);
  std::vector<float> norm = random_floats(kFacts.value_dim, 1, 8);
  std::vector<float> decay = {-0.02f, -0.1f, -0.3f, -0.7f, -1.5f, -4.0f};
};

// A sequence over a cache of its own, whose blocks lie in reverse order and hold what is no number.
class World {
 public:
  explicit World(const Inputs& in)
      : in_(in), pool_(static_cast<size_t>(kBlocks * kFacts.state_floats()), NAN), table_(kBlocks) {
    std::iota(table_.rbegin(), table_.rend(), 0);
  }
  // Tokens [begin, end), the earlier ones having been run.
  void run(int64_t begin, int64_t end, int threads) {
    const SequenceSlice slice{0, static_cast<int32_t>(end - begin), static_cast<int32_t>(begin), table_.data()};
    ThreadPool pool(threads, {.pin = false});
    GatedDeltaArgs args{
        .facts = kFacts,
        .qkv = in_.qkv.data() + begin * kFacts.channels(),
        .qkv_stride = kFacts.channels(),
        .z = in_.z.data() + begin * kFacts.values(),
        .z_stride = kFacts.values(),
        .ba = in_.ba.data() + begin * kRates,
        .ba_stride = kRates,
        .out = out.data() + begin * kFacts.values(),
        .out_stride = kFacts.values(),
        .conv = in_.conv.data(),
        .decay = in_.decay.data(),
        .bias = in_.bias.data(),
        .norm = in_.norm.data(),
        .norm_eps = kEps,
        .state = {reinterpret_cast<std::byte*>(pool_.data()), kFacts.state_floats() * 4, 0, kBlockTokens},
        .batch = {&slice, 1, static_cast<int32_t>(end - begin), 0}};
    if (!by_head.empty()) {
      args.facts.by_head = true;
      args.qkv_stride = kFacts.channels() + kFacts.values();
      args.qkv = by_head.data() + begin * args.qkv_stride;
      args.z = nullptr;
    }
    pool.run([&](const Team& team) { gated_delta(args, team); });
  }
  std::vector<float> by_head;  // q, k, v and z of a key head side by side; empty: as `in` has them
  std::vector<float> out = std::vector<float>(kTokens * kFacts.values());

 private:
  const Inputs& in_;
  std::vector<float> pool_;
  std::vector<int32_t> table_;
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// A channel of q, k or v behind its convolution.
double convolved(const Inputs& in, int64_t token, int64_t channel) {
  double sum = 0;
  for (int64_t i = 0; i < kFacts.conv_length; ++i) {
    const int64_t at = token - kFacts.conv_length + 1 + i;
    if (at < 0) continue;
    sum += double(in.conv[static_cast<size_t>(channel * kFacts.conv_length + i)]) *
           in.qkv[static_cast<size_t>(at * kFacts.channels() + channel)];
  }
  return sum * sigmoid(sum);
}

std::vector<double> unit(const Inputs& in, int64_t token, int64_t channel) {
  std::vector<double> x(kFacts.key_dim);
  for (int64_t i = 0; i < kFacts.key_dim; ++i) x[static_cast<size_t>(i)] = convolved(in, token, channel + i);
  const double length = std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 1e-6));
  for (double& value : x) value /= length;
  return x;
}

// Of one value head, all tokens: the unrolled form, where each token writes what its key does not find yet, and an
// output is the sum of what all tokens wrote, by query and key and what is kept of it.
std::vector<double> unrolled(const Inputs& in, int64_t head) {
  const int64_t group = kFacts.value_heads / kFacts.key_heads, key_head = head / group, n = kFacts.value_dim;
  std::vector<std::vector<double>> keys, written;
  std::vector<double> log_kept, out;
  for (int64_t t = 0; t < kTokens; ++t) {
    const float* ba = in.ba.data() + t * kRates + 2 * key_head * group + head % group;
    const double x = double(ba[group]) + in.bias[static_cast<size_t>(head)];
    log_kept.push_back(in.decay[static_cast<size_t>(head)] * std::log1p(std::exp(x)));
    keys.push_back(unit(in, t, kFacts.keys() + key_head * kFacts.key_dim));
    const auto found = [&](const std::vector<double>& key, int64_t j) {
      double sum = 0, kept = 0;
      for (int64_t s = static_cast<int64_t>(written.size()) - 1; s >= 0; --s) {
        const auto at = static_cast<size_t>(s);
        kept = std::accumulate(log_kept.begin() + s + 1, log_kept.end(), 0.0);
        sum += std::exp(kept) * std::inner_product(key.begin(), key.end(), keys[at].begin(), 0.0) *
               written[at][static_cast<size_t>(j)];
      }
      return sum;
    };
    std::vector<double> change(n), o(n);
    for (int64_t j = 0; j < n; ++j) {
      const double v = convolved(in, t, 2 * kFacts.keys() + head * n + j);
      change[static_cast<size_t>(j)] = sigmoid(ba[0]) * (v - found(keys.back(), j));
    }
    written.push_back(change);
    const auto query = unit(in, t, key_head * kFacts.key_dim);
    for (int64_t j = 0; j < n; ++j) o[static_cast<size_t>(j)] = found(query, j) / std::sqrt(double(kFacts.key_dim));
    const double square = std::inner_product(o.begin(), o.end(), o.begin(), 0.0) / double(n);
    for (int64_t j = 0; j < n; ++j) {
      const double z = in.z[static_cast<size_t>(t * kFacts.values() + head * n + j)];
      out.push_back(in.norm[static_cast<size_t>(j)] * o[static_cast<size_t>(j)] / std::sqrt(square + kEps) * z *
                    sigmoid(z));
    }
  }
  return out;
}

TEST(GatedDelta, FollowsTheFormula) {
  const Inputs in;
  World world(in);
  world.run(0, kTokens, 1);
  for (int64_t head = 0; head < kFacts.value_heads; ++head) {
    const auto want = unrolled(in, head);
    for (int64_t t = 0; t < kTokens; ++t) {
      for (int64_t j = 0; j < kFacts.value_dim; ++j) {
        const float got = world.out[static_cast<size_t>(t * kFacts.values() + head * kFacts.value_dim + j)];
        ASSERT_NEAR(got, want[static_cast<size_t>(t * kFacts.value_dim + j)], 2e-4) << head << " " << t << " " << j;
      }
    }
  }
}

TEST(GatedDelta, RowsByHeadGiveTheSame) {
  const Inputs in;
  World plain(in), by_head(in);
  plain.run(0, kTokens, 1);
  const int64_t values = kFacts.group() * kFacts.value_dim;
  for (int64_t t = 0; t < kTokens; ++t) {
    const float* row = in.qkv.data() + t * kFacts.channels();
    const float* z = in.z.data() + t * kFacts.values();
    const auto append = [&](const float* from, int64_t count) {
      by_head.by_head.insert(by_head.by_head.end(), from, from + count);
    };
    for (int64_t head = 0; head < kFacts.key_heads; ++head) {
      append(row + head * kFacts.key_dim, kFacts.key_dim);
      append(row + kFacts.keys() + head * kFacts.key_dim, kFacts.key_dim);
      append(row + 2 * kFacts.keys() + head * values, values);
      append(z + head * values, values);
    }
  }
  by_head.run(0, kTokens, 2);
  EXPECT_EQ(by_head.out, plain.out);
}

TEST(GatedDelta, SameBitsHoweverCutAndShared) {
  const Inputs in;
  World whole(in);
  whole.run(0, kTokens, 1);
  for (const int64_t piece : {1, 2, 7, 16, 33}) {
    World world(in);
    for (int64_t t = 0; t < kTokens; t += piece) world.run(t, std::min(t + piece, kTokens), 1 + t % 2);
    EXPECT_EQ(world.out, whole.out) << piece;
  }
}

// A block that is full keeps the state at its end: another sequence may go on from it.
TEST(GatedDelta, GoesOnFromAFullBlock) {
  const Inputs in;
  World whole(in);
  whole.run(0, kTokens, 1);
  const std::vector<float> once = whole.out;
  whole.run(32, kTokens, 2);  // the block of tokens 16 to 31 has not been written again
  EXPECT_EQ(whole.out, once);
}

}  // namespace
}  // namespace tern
