// The row scan: every implementation gives the reference's bits, and the reference the exponential.
#include "kernels/sample/row_scan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/rng.h"

namespace tern {
namespace {

std::vector<float> row_of(size_t columns, uint64_t seed) {
  std::vector<float> row(columns);
  for (size_t i = 0; i < columns; ++i) row[i] = static_cast<float>(random_unit(seed, i) * 60 - 40);
  return row;
}

std::vector<RowScan> available() {
  std::vector<RowScan> scans;
  for (const KernelListing& listing : row_scan_listing()) {
    if (listing.available) scans.emplace_back(KernelSelection::parse("sample:" + std::string(listing.name)));
  }
  return scans;
}

TEST(RowScan, EveryImplementationHasTheSameBits) {
  const RowScan ref(KernelSelection::parse("sample:ref"));
  for (const RowScan& scan : available()) {
    for (size_t columns : {1, 5, 15, 16, 17, 100, 255, 256}) {
      const std::vector<float> row = row_of(columns, columns);
      const float best = 20.0f;
      std::vector<float> wanted(kScanBlock, -1), weights(kScanBlock, -1);
      EXPECT_EQ(scan.weigh(row, best, 1.7f, weights.data()), ref.weigh(row, best, 1.7f, wanted.data()));
      for (size_t i = 0; i < columns; ++i) {
        EXPECT_EQ(weights[i], wanted[i]) << scan.kernel_name() << " " << columns << " at " << i;
        const double exact = std::exp2(static_cast<double>((row[i] - best) * 1.7f));
        EXPECT_NEAR(weights[i], exact, exact * 4e-7 + 1e-36);
      }
    }
  }
}

TEST(RowScan, MaximaOfEveryBlock) {
  for (const RowScan& scan : available()) {
    const std::vector<float> row = row_of(1000, 3);
    std::vector<float> maxima(RowScan::blocks(row.size()));
    ASSERT_EQ(maxima.size(), 4u);
    scan.maxima(row, maxima);
    for (size_t b = 0; b < maxima.size(); ++b) {
      const auto block = RowScan::block(row, b);
      EXPECT_EQ(maxima[b], *std::max_element(block.begin(), block.end())) << scan.kernel_name();
    }
  }
}

TEST(RowScan, NanAnywhereIsSeenAndInfinityIsNot) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const RowScan& scan : available()) {
    for (size_t columns : {3, 16, 250}) {
      for (size_t at = 0; at < columns; ++at) {
        std::vector<float> row(columns, -kInfinity);
        float maximum = 0;
        scan.maxima(row, {&maximum, 1});
        EXPECT_EQ(maximum, -kInfinity);
        row[at] = std::numeric_limits<float>::quiet_NaN();
        scan.maxima(row, {&maximum, 1});
        EXPECT_TRUE(std::isnan(maximum)) << scan.kernel_name() << " " << columns << " at " << at;
      }
    }
  }
}

TEST(RowScan, WhatIsImpossibleHasNoWeight) {
  for (const RowScan& scan : available()) {
    const std::vector<float> row = {0.0f, -std::numeric_limits<float>::infinity(), -500.0f};
    std::vector<float> weights(kScanBlock);
    EXPECT_NEAR(scan.weigh(row, 0.0f, 1.0f, weights.data()), 1.0f, 1e-6f);
    EXPECT_EQ(weights[1], 0.0f);
    EXPECT_EQ(weights[2], 0.0f);
  }
}

}  // namespace
}  // namespace tern
