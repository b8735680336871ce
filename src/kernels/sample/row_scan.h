// The row scan family: what a sampler asks of a row of logits, in passes over blocks of kScanBlock columns. A row has
// tens of thousands of columns and a draw needs few of them: the largest value of each block says which.
//
// Called by one thread a row; the same bits from every implementation, so that a seed gives one text everywhere.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/cost.h"
#include "kernels/sample/row_scan_impl.h"
#include "kernels/selection.h"

namespace tern {

class RowScan {
 public:
  explicit RowScan(const KernelSelection& selection);

  static size_t blocks(size_t columns) { return (columns + kScanBlock - 1) / kScanBlock; }
  // The columns of one block.
  static std::span<const float> block(std::span<const float> row, size_t index) {
    const size_t begin = index * kScanBlock;
    return row.subspan(begin, row.size() - begin < kScanBlock ? row.size() - begin : kScanBlock);
  }

  // maxima [blocks]: the largest value of each block, NaN where a block holds one.
  void maxima(std::span<const float> row, std::span<float> maxima) const;
  // weights [kScanBlock]: 2^((values - best) * scale) of one block's values, 0 below 2^-123; returns their sum. best is
  // not less than any value.
  float weigh(std::span<const float> values, float best, float scale, float* weights) const;

  // Of a row's maxima and weights.
  static Cost cost(int64_t columns);
  std::string kernel_name() const { return impl_->name; }

 private:
  const RowScanImpl* impl_;
};

std::vector<KernelListing> row_scan_listing();

}  // namespace tern
