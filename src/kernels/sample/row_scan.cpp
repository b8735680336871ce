#include "kernels/sample/row_scan.h"

namespace tern {
namespace {

constexpr const RowScanImplSpan* kSpans[] = {&kRowScanAvx512, &kRowScanAvx2, &kRowScanRef};

}  // namespace

RowScan::RowScan(const KernelSelection& selection) {
  impl_ = first_allowed("sample", kSpans, selection, [](const RowScanImpl&) { return true; });
  if (impl_ == nullptr) impl_ = kRowScanRef.rows;
}

void RowScan::maxima(std::span<const float> row, std::span<float> maxima) const {
  for (size_t b = 0; b < maxima.size(); ++b) {
    const std::span<const float> values = block(row, b);
    maxima[b] = impl_->largest(values.data(), static_cast<int64_t>(values.size()));
  }
}

float RowScan::weigh(std::span<const float> values, float best, float scale, float* weights) const {
  float lanes[kScanLanes];
  impl_->weigh(values.data(), static_cast<int64_t>(values.size()), best, scale, weights, lanes);
  for (int64_t width = kScanLanes / 2; width > 0; width /= 2) {
    for (int64_t i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

Cost RowScan::cost(int64_t columns) {
  const auto count = static_cast<double>(columns);
  return {.bytes = 8 * count, .ops = 16 * count, .activations = 8 * count};
}

std::vector<KernelListing> row_scan_listing() { return list_family("sample", kSpans); }

}  // namespace tern
