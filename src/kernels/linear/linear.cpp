#include "kernels/linear/linear.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "quant/format.h"

namespace tern {
namespace {

constexpr uint64_t kAlignment = 64;  // a cache line, and a zmm

uint64_t aligned(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

LinearDesc desc_of(const LinearPart& part, int64_t cols) { return {part.rows, cols, part.format}; }

int64_t panels_of(const LinearImpl& impl, int64_t rows) { return (rows + impl.panel_rows - 1) / impl.panel_rows; }

const LinearImpl* choose(const std::string& name, const LinearDesc& desc, const KernelSelection& selection) {
  std::string tried;
  for (const LinearImpl* impl : linear_impls()) {
    if (!selection.allows("linear", impl->name, impl->needs)) continue;
    if (impl->supports(desc)) return impl;
    tried += tried.empty() ? impl->name : fmt::format(", {}", impl->name);
  }
  bad_input(fmt::format("[linear] {}: no kernel for {}x{} {}; tried {}", name, desc.rows, desc.cols,
                        name_of(desc.format), tried));
}

}  // namespace

std::vector<const LinearImpl*> linear_impls() {
  std::vector<const LinearImpl*> all;
  for (const LinearImplSpan* span :
       {&kLinearAmx, &kLinearAmxKquants, &kLinearAmxBf16, &kLinearAvx512, &kLinearAvx512Kquants, &kLinearAvx512Float,
        &kLinearAvx2, &kLinearAvx2Kquants, &kLinearAvx2Float, &kLinearRef}) {
    for (int i = 0; i < span->count; ++i) all.push_back(span->rows + i);
  }
  return all;
}

Linear::Linear(std::string name, int64_t cols, std::vector<LinearPart> parts, const KernelSelection& selection)
    : name_(std::move(name)), cols_(cols) {
  for (const LinearPart& part : parts) {
    BoundPart bound{part, choose(name_, desc_of(part, cols), selection), nullptr, rows_, 0, 0};
    if (bound.impl->pack == nullptr) bound.weights = part.data;
    // Parts that prepare activations alike read one prepared copy.
    const auto alike = std::find_if(parts_.begin(), parts_.end(),
                                    [&](const BoundPart& other) { return other.impl->prepare == bound.impl->prepare; });
    bound.owns_slot = alike == parts_.end();
    bound.prepared_offset = bound.owns_slot ? static_cast<int64_t>(prepared_row_bytes_) : alike->prepared_offset;
    if (bound.owns_slot) prepared_row_bytes_ += bound.impl->prepared_bytes(cols);
    rows_ += part.rows;
    parts_.push_back(bound);
  }
}

uint64_t Linear::packed_bytes() const {
  uint64_t bytes = 0;
  for (const BoundPart& bound : parts_) bytes += aligned(bound.impl->packed_bytes(desc_of(bound.part, cols_)));
  return bytes;
}

bool Linear::copies(int64_t part) const { return parts_[static_cast<size_t>(part)].impl->pack != nullptr; }

void Linear::pack(std::byte* storage, const Team& team) {
  for (BoundPart& bound : parts_) {
    if (bound.impl->pack == nullptr) continue;
    const LinearDesc desc = desc_of(bound.part, cols_);
    const Team::Range panels = team.share(panels_of(*bound.impl, desc.rows));
    bound.impl->pack(desc, bound.part.data, storage, panels.begin, panels.end);
    if (team.index() == 0) bound.weights = storage;
    storage += aligned(bound.impl->packed_bytes(desc));
  }
}

uint64_t Linear::workspace_bytes(int64_t tokens, int workers) const {
  return static_cast<uint64_t>(std::max<int64_t>(tokens, workers)) * prepared_row_bytes_;
}

void Linear::run(const LinearArgs& args, const Team& team) const {
  if (args.tokens <= 0) return;
  // Prepared rows lie slot after slot, [tokens] rows in each. A single row is prepared by every worker for itself: that
  // is cheaper than a barrier.
  std::byte* prepared = args.workspace;
  Team::Range rows{0, 1};
  if (args.tokens == 1) {
    prepared += static_cast<uint64_t>(team.index()) * prepared_row_bytes_;
  } else {
    rows = team.share(args.tokens);
  }
  for (const BoundPart& bound : parts_) {
    if (!bound.owns_slot) continue;
    const int64_t stride = static_cast<int64_t>(bound.impl->prepared_bytes(cols_));
    std::byte* slot = prepared + bound.prepared_offset * args.tokens;
    for (int64_t t = rows.begin; t < rows.end; ++t) {
      bound.impl->prepare(args.x + t * args.x_stride, cols_, slot + t * stride);
    }
  }
  if (args.tokens > 1) team.sync();
  run_share(args, prepared, team);
}

void Linear::run_share(const LinearArgs& args, const std::byte* prepared, const Team& team) const {
  // The panels of all parts are one list, cut into as many contiguous pieces of equal work as there are workers. Work
  // is the bytes of a panel when one token reads them, and rows (so operations) when several do.
  const auto panel_work = [&](const BoundPart& bound) {
    const LinearDesc desc = desc_of(bound.part, cols_);
    const double rows = static_cast<double>(bound.impl->panel_rows);
    return args.tokens == 1 ? rows * bound.impl->cost(desc, 1).bytes / static_cast<double>(desc.rows) : rows;
  };
  double total = 0;
  for (const BoundPart& bound : parts_) {
    total += panel_work(bound) * static_cast<double>(panels_of(*bound.impl, bound.part.rows));
  }
  const double from = total * team.index() / team.size();
  const double to = total * (team.index() + 1) / team.size();
  double offset = 0;
  for (const BoundPart& bound : parts_) {
    const int64_t panels = panels_of(*bound.impl, bound.part.rows);
    const double work = panel_work(bound);
    const auto panel_at = [&](double target) {
      return std::clamp(static_cast<int64_t>(std::llround((target - offset) / work)), int64_t{0}, panels);
    };
    const int64_t begin = team.index() == 0 ? 0 : panel_at(from);
    const int64_t end = team.index() + 1 == team.size() ? panels : panel_at(to);
    offset += work * static_cast<double>(panels);
    if (begin >= end) continue;
    const LinearJob job{.desc = desc_of(bound.part, cols_),
                        .weights = bound.weights,
                        .prepared = prepared + bound.prepared_offset * args.tokens,
                        .prepared_stride = static_cast<int64_t>(bound.impl->prepared_bytes(cols_)),
                        .tokens = args.tokens,
                        .out = args.out + bound.first_row,
                        .out_stride = args.out_stride,
                        .bias = bound.part.bias};
    bound.impl->run(job, begin, end);
  }
}

void Linear::read_row(int64_t row, float* out) const {
  for (const BoundPart& bound : parts_) {
    if (row < bound.first_row + bound.part.rows) {
      return bound.impl->read_row(desc_of(bound.part, cols_), bound.weights, row - bound.first_row, out);
    }
  }
  TERN_CHECK(false, fmt::format("{}: row {} of {}", name_, row, rows_));
}

Cost Linear::cost(int64_t tokens) const {
  Cost sum;
  for (const BoundPart& bound : parts_) {
    const Cost cost = bound.impl->cost(desc_of(bound.part, cols_), tokens);
    sum.bytes += cost.bytes;
    sum.ops += cost.ops;
  }
  // Each part counted x, which is read once.
  sum.bytes -= static_cast<double>((part_count() - 1) * tokens * cols_) * sizeof(float);
  return sum;
}

std::string Linear::kernel_names() const {
  std::vector<std::string_view> names;
  for (const BoundPart& bound : parts_) {
    if (std::find(names.begin(), names.end(), bound.impl->name) == names.end()) names.push_back(bound.impl->name);
  }
  std::string joined;
  for (std::string_view part : names) joined += joined.empty() ? std::string(part) : fmt::format("+{}", part);
  return joined;
}

}  // namespace tern
