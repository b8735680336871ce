#include "plan/roofline.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "core/error.h"

namespace tern {
namespace {

// The terms that bound an op, in seconds; the names are the bounds that rows carry.
constexpr std::array<std::string_view, 8> kBounds{"memory", "l3",  "l2",        "int8",
                                                  "bf16",   "f32", "int8_tile", "bf16_tile"};
enum Bound : size_t { kMemory, kL3, kL2, kInt8, kBf16, kF32, kInt8Tile, kBf16Tile };
// An op that takes less of a step is not named as the one furthest from its limit: nothing would be won there.
constexpr double kWorthNaming = 0.01;
using Seconds = std::array<double, kBounds.size()>;

// The fastest level of memory that holds so many bytes; each thread has an L2 cache of its own.
Bound level_of(double bytes, const MachineLimits& limits) {
  if (limits.l2_gbps > 0 && bytes <= static_cast<double>(limits.l2_bytes) * limits.threads) return kL2;
  return limits.l3_gbps > 0 && bytes <= static_cast<double>(limits.l3_bytes) ? kL3 : kMemory;
}

double gbps_of(Bound level, const MachineLimits& limits) {
  if (level == kL2) return limits.l2_gbps;
  return level == kL3 ? limits.l3_gbps : limits.read_gbps();
}

double ratio(double amount, double rate_per_ns) { return rate_per_ns > 0 ? amount / rate_per_ns * 1e-9 : 0; }

Bound peak_of(Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::kF32:
      break;
    case Arithmetic::kBf16:
      return kBf16;
    case Arithmetic::kInt8:
      return kInt8;
    case Arithmetic::kBf16Tile:
      return kBf16Tile;
    case Arithmetic::kInt8Tile:
      return kInt8Tile;
  }
  return kF32;
}

// The least time of one op by each bound, all others being free; `resident` is the level that holds weights and caches.
Seconds least_seconds(const Cost& cost, Bound resident, const MachineLimits& limits) {
  Seconds seconds{};
  const Bound held = level_of(cost.activations, limits);
  seconds[resident] = ratio(cost.bytes - cost.activations, gbps_of(resident, limits));
  seconds[held] += ratio(cost.activations, gbps_of(held, limits));
  seconds[peak_of(cost.arithmetic)] = ratio(cost.ops, limits.peak_gops(cost.arithmetic));
  return seconds;
}

struct Group {
  RooflineRow row;
  Seconds bounded{};  // least time of the ops that each bound limits
};

}  // namespace

const RooflineRow& Roofline::lowest_share() const {
  TERN_CHECK(!rows.empty());
  const RooflineRow* lowest = &rows[0];
  for (const RooflineRow& row : rows) {
    if (row.us >= kWorthNaming * step_us && row.share < lowest->share) lowest = &row;
  }
  return *lowest;
}

const RooflineRow& Roofline::most_lost() const {
  TERN_CHECK(!rows.empty());
  return *std::max_element(rows.begin(), rows.end(),
                           [](const RooflineRow& a, const RooflineRow& b) { return a.lost_us() < b.lost_us(); });
}

Roofline roofline(const std::vector<OpSample>& samples, double step_us, const MachineLimits& limits) {
  double resident_bytes = 0, in_ops_us = 0;
  for (const OpSample& sample : samples) resident_bytes += sample.cost.bytes - sample.cost.activations;
  const Bound resident = level_of(resident_bytes, limits);
  std::vector<Group> groups;
  for (const OpSample& sample : samples) {
    auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& g) {
      return g.row.name == sample.name && g.row.kernel == sample.kernel;
    });
    if (group == groups.end()) {
      group = groups.insert(group, {.row = {.name = sample.name, .kernel = sample.kernel}});
    }
    const Seconds least = least_seconds(sample.cost, resident, limits);
    const auto bound = std::max_element(least.begin(), least.end());
    group->bounded[static_cast<size_t>(bound - least.begin())] += *bound;
    group->row.count += 1;
    group->row.us += sample.us;
    group->row.bytes += sample.cost.bytes;
    group->row.ops += sample.cost.ops;
    in_ops_us += sample.us;
  }
  Roofline out{.step_us = step_us, .waiting_us = std::max(0.0, step_us - in_ops_us)};
  for (Group& group : groups) {
    double least = 0;
    for (const double seconds : group.bounded) least += seconds;
    const auto bound = std::max_element(group.bounded.begin(), group.bounded.end());
    group.row.bound = kBounds[static_cast<size_t>(bound - group.bounded.begin())];
    group.row.share = group.row.us > 0 ? least * 1e6 / group.row.us : 0;
    out.rows.push_back(std::move(group.row));
  }
  std::stable_sort(out.rows.begin(), out.rows.end(),
                   [](const RooflineRow& a, const RooflineRow& b) { return a.us > b.us; });
  return out;
}

}  // namespace tern
