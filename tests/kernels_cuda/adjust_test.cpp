// Biases and penalties on a GPU: the bits of the reference; what is drawn from changed rows is counted.
#include "kernels/sample/adjust_gpu.h"

#include <algorithm>
#include <set>

#include "gpu_case.h"
#include "kernels/sample/draw_gpu.h"

namespace tern {
namespace {

using test::DeviceMemory;

struct Rows {
  int64_t vocabulary = 0, slots = 0;
  std::vector<float> logits;
  std::vector<GpuAdjust> adjusts;
  std::vector<GpuBias> biases;
  std::vector<GpuTokenCount> counts;

  int64_t count() const { return static_cast<int64_t>(adjusts.size()); }
  GpuAdjustArgs args() const {
    return {.logits = logits.data(),
            .adjusts = adjusts.data(),
            .biases = biases.data(),
            .counts = counts.data(),
            .adjusted = nullptr,
            .rows = count(),
            .vocabulary = vocabulary,
            .overlap = false};
  }
};

class GpuAdjusts : public test::GpuCase {
 protected:
  GpuAdjusts() : GpuCase(23) {}

  void add_biases(Rows& rows, GpuAdjust& row, int64_t count) {
    std::set<int32_t> ids;
    std::uniform_int_distribution<int32_t> any(0, static_cast<int32_t>(rows.vocabulary) - 1);
    while (static_cast<int64_t>(ids.size()) < std::min(count, rows.vocabulary)) ids.insert(any(random_));
    row.first_bias = static_cast<int32_t>(rows.biases.size());
    for (const int32_t id : ids) rows.biases.push_back({id, 3 * floats(1)[0]});
    rows.biases.push_back({static_cast<int32_t>(rows.vocabulary), 50.0f});  // nobody's
    row.biases = static_cast<int32_t>(ids.size()) + 1;
  }

  // Rows of all kinds by turns: as they are, penalties, biases, both.
  Rows make(int64_t vocabulary, int64_t count) {
    Rows rows{.vocabulary = vocabulary, .slots = count + 1};
    rows.logits = floats(count * vocabulary);
    rows.counts.resize(static_cast<size_t>(rows.slots * vocabulary));
    for (GpuTokenCount& seen : rows.counts) {
      const auto kind = random_() % 8;
      if (kind < 2) seen = kGpuInPrompt;
      if (kind == 1 || kind == 2) seen = static_cast<GpuTokenCount>(seen + random_() % 40);
    }
    for (int64_t r = 0; r < count; ++r) {
      GpuAdjust row;
      if (r % 4 == 1 || r % 4 == 3) {
        row = {.repetition_penalty = 1.3f, .presence_penalty = 0.7f, .frequency_penalty = -0.11f};
        row.slot = static_cast<int32_t>(count - r);
      }
      if (r % 4 >= 2) add_biases(rows, row, r % 8 == 2 ? kGpuMostBiases - 1 : 7);
      rows.adjusts.push_back(row);
    }
    if (rows.biases.empty()) rows.biases.push_back({});
    return rows;
  }
};

struct OnDevice {
  DeviceMemory logits, adjusts, biases, counts, adjusted;
  explicit OnDevice(const Rows& rows, float before)
      : logits(rows.logits),
        adjusts(rows.adjusts),
        biases(rows.biases),
        counts(rows.counts),
        adjusted(std::vector<float>(rows.logits.size(), before)) {}
  void adjust(const Rows& rows, bool overlap) const {
    GpuAdjustArgs args = rows.args();
    args.logits = reinterpret_cast<const float*>(logits.data());
    args.adjusts = reinterpret_cast<const GpuAdjust*>(adjusts.data());
    args.biases = reinterpret_cast<const GpuBias*>(biases.data());
    args.counts = reinterpret_cast<const GpuTokenCount*>(counts.data());
    args.adjusted = reinterpret_cast<float*>(adjusted.data());
    args.overlap = overlap;
    test::done(kGpuAdjustSm80.run(args, nullptr));
  }
};

TEST_F(GpuAdjusts, GiveTheBitsOfTheReference) {
  for (const int64_t vocabulary : {1, 50, 1024, 1025, 49152, 128256}) {
    const Rows rows = make(vocabulary, 9);
    std::vector<float> want(rows.logits.size(), -7.0f);
    GpuAdjustArgs args = rows.args();
    args.adjusted = want.data();
    adjust_rows_ref(args);
    const OnDevice device(rows, -7.0f);
    device.adjust(rows, vocabulary % 2 == 0);
    EXPECT_EQ(device.adjusted.to_host<float>(), want) << vocabulary;
    EXPECT_EQ(device.logits.to_host<float>(), rows.logits) << vocabulary;
  }
}

TEST_F(GpuAdjusts, DrawsTakeChangedRowsAndCountWhatTheyTake) {
  constexpr int64_t kVocabulary = 5000, kCount = 8;
  Rows rows = make(kVocabulary, kCount);
  for (int64_t r = 0; r < kCount; ++r) {  // the best by far, unless it is changed
    rows.logits[static_cast<size_t>(r * kVocabulary + 10 * r)] = 1000.0f;
  }
  for (int64_t slot = 0; slot <= kCount; ++slot) {
    const int64_t best = 10 * (kCount - slot);
    if (best < kVocabulary) rows.counts[static_cast<size_t>(slot * kVocabulary + best)] = kGpuInPrompt | 3;
  }
  for (GpuAdjust& row : rows.adjusts) row.frequency_penalty = 600;  // three times: far below all
  for (const GpuDraw kind :
       {GpuDraw{0, -80, 1, 0, 0, 0}, GpuDraw{1, -80, 1, 0, 1ull << 62, 0}, GpuDraw{1, -80, 0.9f, 40, 1ull << 62, 0}}) {
    const OnDevice device(rows, 0);
    device.adjust(rows, false);
    std::vector<float> changed = device.adjusted.to_host<float>();
    for (int64_t r = 0; r < kCount; ++r) {
      if (is_adjusted(rows.adjusts[static_cast<size_t>(r)])) continue;
      std::copy_n(rows.logits.begin() + r * kVocabulary, kVocabulary, changed.begin() + r * kVocabulary);
    }
    const DeviceMemory draws(std::vector<GpuDraw>(kCount, kind)), tokens(std::vector<int32_t>(kCount, -7));
    const DeviceMemory workspace(std::vector<uint64_t>(static_cast<size_t>(2 * kCount * gpu_draw_chunks(kVocabulary))));
    GpuDrawArgs args{.logits = reinterpret_cast<const float*>(device.logits.data()),
                     .draws = reinterpret_cast<const GpuDraw*>(draws.data()),
                     .tokens = reinterpret_cast<int32_t*>(tokens.data()),
                     .workspace = reinterpret_cast<uint64_t*>(workspace.data()),
                     .rows = kCount,
                     .vocabulary = kVocabulary,
                     .greedy = kind.inverse_temperature == 0,
                     .overlap = false,
                     .adjusts = reinterpret_cast<const GpuAdjust*>(device.adjusts.data()),
                     .adjusted = reinterpret_cast<const float*>(device.adjusted.data()),
                     .counts = reinterpret_cast<GpuTokenCount*>(device.counts.data())};
    test::done(kGpuDrawSm80.run(args, nullptr));
    const auto got = tokens.to_host<int32_t>();
    std::vector<GpuTokenCount> counted = rows.counts;
    for (size_t r = 0; r < kCount; ++r) {
      const GpuAdjust& row = rows.adjusts[r];
      EXPECT_EQ(got[r] == static_cast<int32_t>(10 * r), row.slot < 0) << r;
      ASSERT_GE(got[r], 0);
      if (row.slot >= 0) ++counted[static_cast<size_t>(row.slot * kVocabulary + got[r])];
    }
    EXPECT_EQ(device.counts.to_host<GpuTokenCount>(), counted);
    // The same draws from rows that were changed before.
    const DeviceMemory same(changed);
    args.logits = reinterpret_cast<const float*>(same.data());
    args.adjusts = nullptr;
    test::done(kGpuDrawSm80.run(args, nullptr));
    EXPECT_EQ(tokens.to_host<int32_t>(), got);
  }
}

}  // namespace
}  // namespace tern
