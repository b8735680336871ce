// Mixtures of experts on a GPU: the route against route_row(), the sort's tiles, and the experts' products against
// plain loops, for one token, few and many, with all visits at one expert too.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "core/half.h"
#include "gpu_case.h"
#include "kernels/moe/moe_gpu.h"
#include "support/device_memory.h"

namespace tern {
namespace {

using test::DeviceMemory, test::done;

class GpuExperts : public test::GpuCase {
 protected:
  GpuExperts() : GpuCase(11) {}
};

float* as_floats(const DeviceMemory& memory) { return reinterpret_cast<float*>(memory.data()); }

TEST_F(GpuExperts, RouteIsThatOfTheHost) {
  for (const RouteFacts facts :
       {RouteFacts{8, 2, true}, RouteFacts{128, 8, true}, RouteFacts{60, 4, false}, RouteFacts{1024, 32, false}}) {
    const int64_t tokens = 9;
    auto scores = floats(tokens * facts.experts);
    for (int64_t e = 0; e < facts.experts; ++e) scores[static_cast<size_t>(e)] = 1;  // a tie of all
    scores[static_cast<size_t>(facts.experts) + 3] = NAN;
    const DeviceMemory d_scores(scores);
    const DeviceMemory out(std::vector<float>(static_cast<size_t>(tokens * 2 * facts.used), NAN));
    done(kGpuRouteSm80.run({facts, as_floats(d_scores), as_floats(out), tokens, true}, nullptr));
    const auto got = out.to_host<float>();
    std::vector<float> want(static_cast<size_t>(2 * facts.used));
    for (int64_t t = 0; t < tokens; ++t) {
      route_row(facts, scores.data() + t * facts.experts, nullptr, want.data());
      for (int64_t i = 0; i < facts.used; ++i) {
        const auto at = static_cast<size_t>(t * 2 * facts.used + i);
        ASSERT_EQ(got[at], want[static_cast<size_t>(i)]) << t << " " << i;
        const float weight = want[static_cast<size_t>(facts.used + i)];
        if (t == 1 && !facts.normalized) continue;  // no number in the softmax of all
        ASSERT_NEAR(got[at + static_cast<size_t>(facts.used)], weight, 1e-5 * weight) << t << " " << i;
      }
    }
  }
}

struct Sorted {
  std::vector<int32_t> order;
  std::vector<ExpertTile> tiles;
};

// Random experts for each token, all different; `only`: all tokens go to the first ones.
std::vector<float> route_of(int64_t tokens, int64_t used, int64_t experts, bool only, std::mt19937& random) {
  std::vector<float> route;
  std::vector<int32_t> all(static_cast<size_t>(experts));
  for (int64_t t = 0; t < tokens; ++t) {
    for (size_t e = 0; e < all.size(); ++e) all[e] = static_cast<int32_t>(e);
    if (!only) std::shuffle(all.begin(), all.end(), random);
    for (int64_t i = 0; i < used; ++i) route.push_back(static_cast<float>(all[static_cast<size_t>(i)]));
    for (int64_t i = 0; i < used; ++i) route.push_back(static_cast<float>(i + 1) / static_cast<float>(used));
  }
  return route;
}

TEST_F(GpuExperts, TilesHoldEveryVisitOnce) {
  for (const bool only : {false, true}) {
    for (int64_t tokens : {1, 7, 300}) {
      const int64_t used = 4, experts = 70, visits = tokens * used, count = gpu_expert_tiles(visits, experts);
      const auto route = route_of(tokens, used, experts, only, random_);
      const DeviceMemory d_route(route), order(std::vector<int32_t>(static_cast<size_t>(visits), -1)),
          tiles(std::vector<ExpertTile>(static_cast<size_t>(count), {-1, -1, -1}));
      done(kGpuSortVisitsSm80.run({as_floats(d_route), tokens, used, experts, reinterpret_cast<int32_t*>(order.data()),
                                   reinterpret_cast<ExpertTile*>(tiles.data()), count, true},
                                  nullptr));
      const auto got = order.to_host<int32_t>();
      std::vector<int> seen(static_cast<size_t>(visits));
      for (const ExpertTile& tile : tiles.to_host<ExpertTile>()) {
        ASSERT_LE(tile.count, kGpuExpertTile);
        for (int32_t i = 0; i < tile.count; ++i) {
          const int32_t visit = got[static_cast<size_t>(tile.begin + i)];
          ++seen[static_cast<size_t>(visit)];
          ASSERT_EQ(route[static_cast<size_t>(visit / used * 2 * used + visit % used)],
                    static_cast<float>(tile.expert));
        }
      }
      EXPECT_EQ(seen, std::vector<int>(static_cast<size_t>(visits), 1)) << tokens;
    }
  }
}

struct Shape {
  int64_t tokens, used, experts, hidden, ffn;
  bool only;
};

// The whole mixture: gated products, the products behind them and the sum.
TEST_F(GpuExperts, MixtureEqualsPlainLoops) {
  for (const Shape& s : {Shape{1, 2, 4, 64, 96, false}, Shape{5, 2, 8, 136, 72, false}, Shape{40, 3, 5, 64, 40, true},
                         Shape{100, 2, 4, 256, 128, false}}) {
    const auto x = halves(s.tokens * s.hidden), gate_up = halves(s.experts * 2 * s.ffn * s.hidden),
               down = halves(s.experts * s.hidden * s.ffn);
    const auto route = route_of(s.tokens, s.used, s.experts, s.only, random_);
    const int64_t visits = s.tokens * s.used, count = gpu_expert_tiles(visits, s.experts);
    const DeviceMemory d_x(x), d_gate_up(gate_up), d_down(down), d_route(route);
    const DeviceMemory order(std::vector<int32_t>(static_cast<size_t>(visits))),
        tiles(std::vector<ExpertTile>(static_cast<size_t>(count)));
    const std::vector<uint16_t> poison(static_cast<size_t>(visits * std::max(s.hidden, s.ffn)), 0x7fc0);
    const DeviceMemory products(poison), outs(poison), out(poison);
    const auto* d_order = reinterpret_cast<const int32_t*>(order.data());
    const auto* d_tiles = reinterpret_cast<const ExpertTile*>(tiles.data());
    done(kGpuSortVisitsSm80.run(
        {as_floats(d_route), s.tokens, s.used, s.experts, reinterpret_cast<int32_t*>(order.data()),
         reinterpret_cast<ExpertTile*>(tiles.data()), count, true},
        nullptr));
    done(kGpuExpertProductSm80.run({d_gate_up.data(), d_x.data(), products.data(), d_order, d_tiles, count, s.ffn,
                                    s.hidden, s.used, true, Activation::kSilu, true},
                                   nullptr));
    done(kGpuExpertProductSm80.run({d_down.data(), products.data(), outs.data(), d_order, d_tiles, count, s.hidden,
                                    s.ffn, 1, false, Activation::kSilu, true},
                                   nullptr));
    done(kGpuSumVisitsSm80.run({outs.data(), as_floats(d_route), out.data(), s.tokens, s.used, s.hidden, true},
                               nullptr));
    const auto got = out.to_host<uint16_t>();
    double error = 0, norm = 0;
    for (int64_t t = 0; t < s.tokens; ++t) {
      std::vector<double> want(static_cast<size_t>(s.hidden));
      for (int64_t i = 0; i < s.used; ++i) {
        const float* r = route.data() + t * 2 * s.used;
        const auto e = static_cast<int64_t>(r[i]);
        std::vector<double> product(static_cast<size_t>(s.ffn));
        for (int64_t f = 0; f < s.ffn; ++f) {
          double gate = 0, up = 0;
          for (int64_t c = 0; c < s.hidden; ++c) {
            const double value = f32_from_bf16(x[static_cast<size_t>(t * s.hidden + c)]);
            const int64_t row = e * 2 * s.ffn + f;
            gate += value * f32_from_bf16(gate_up[static_cast<size_t>(row * s.hidden + c)]);
            up += value * f32_from_bf16(gate_up[static_cast<size_t>((row + s.ffn) * s.hidden + c)]);
          }
          product[static_cast<size_t>(f)] = gate / (1 + std::exp(-gate)) * up;
        }
        for (int64_t c = 0; c < s.hidden; ++c) {
          double sum = 0;
          for (int64_t f = 0; f < s.ffn; ++f) {
            sum += product[static_cast<size_t>(f)] *
                   f32_from_bf16(down[static_cast<size_t>((e * s.hidden + c) * s.ffn + f)]);
          }
          want[static_cast<size_t>(c)] += static_cast<double>(r[s.used + i]) * sum;
        }
      }
      for (int64_t c = 0; c < s.hidden; ++c) {
        const double value = f32_from_bf16(got[static_cast<size_t>(t * s.hidden + c)]);
        error += std::pow(value - want[static_cast<size_t>(c)], 2);
        norm += std::pow(want[static_cast<size_t>(c)], 2);
      }
    }
    EXPECT_LE(error / norm, 2e-5) << s.tokens << " tokens";  // two roundings to bf16, 2^-9 each
  }
}

}  // namespace
}  // namespace tern
