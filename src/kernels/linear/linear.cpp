#include "kernels/linear/linear.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/rng.h"
#include "quant/format.h"

namespace tern {
namespace {

constexpr uint64_t kAlignment = 64;  // a cache line, and a zmm

uint64_t aligned(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

LinearDesc desc_of(const LinearPart& part, int64_t cols) { return {part.rows, cols, part.format}; }

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

int64_t prepared_rows(int64_t tokens) {
  return tokens <= kAmongTokens ? tokens : (tokens + kAmongTokens - 1) / kAmongTokens * kAmongTokens;
}

void prepare_token(const LinearImpl& impl, const float* x, int64_t cols, std::byte* prepared, int64_t token,
                   int64_t tokens) {
  if (impl.prepare_among != nullptr) return impl.prepare_among(x, cols, prepared, token, tokens);
  impl.prepare(x, cols, prepared + token * static_cast<int64_t>(impl.prepared_bytes(cols)));
}

std::vector<const LinearImpl*> linear_impls() {
  std::vector<const LinearImpl*> all;
  for (const LinearImplSpan* span :
       {&kLinearAmx, &kLinearAmxKquants, &kLinearAmxCodebooks, &kLinearAmxBf16, &kLinearAvx512, &kLinearAvx512Kquants,
        &kLinearAvx512Codebooks, &kLinearAvx512Float, &kLinearAvx512Fp8, &kLinearAvx2, &kLinearAvx2Kquants,
        &kLinearAvx2Codebooks, &kLinearAvx2Float, &kLinearAvx2Fp8, &kLinearRef}) {
    for (int i = 0; i < span->count; ++i) all.push_back(span->rows + i);
  }
  return all;
}

Linear::Linear(std::string name, int64_t cols, std::vector<LinearPart> parts, const KernelSelection& selection)
    : name_(std::move(name)), cols_(cols) {
  for (const LinearPart& part : parts) {
    BoundPart bound{};
    bound.part = part;
    bound.impl = choose(name_, desc_of(part, cols), selection);
    bound.first_row = rows_;
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
  divide({});
}

int64_t Linear::unit_rows_of(const LinearImpl& impl) const {
  return division_.grain > 0 ? division_.grain : impl.panel_rows;
}

bool Linear::divides(const LinearDivision& division) const {
  if (division.paired && (parts_.size() != 2 || parts_[0].part.rows != parts_[1].part.rows || division.grain == 0)) {
    return false;
  }
  for (const BoundPart& bound : parts_) {
    if (division.grain % bound.impl->panel_rows != 0) return false;
    const bool last = &bound == &parts_.back();
    if (!last && !division.paired && division.grain > 0 && bound.part.rows % division.grain != 0) return false;
  }
  return true;
}

void Linear::divide(const LinearDivision& division) {
  TERN_CHECK(divides(division), name_);
  division_ = division;
  int64_t first_unit = 0;
  for (BoundPart& bound : parts_) {
    const LinearDesc desc = desc_of(bound.part, cols_);
    const int64_t unit_rows = unit_rows_of(*bound.impl);
    bound.first_unit = division.paired ? 0 : first_unit;
    bound.unit_panels = unit_rows / bound.impl->panel_rows;
    bound.units = (bound.part.rows + unit_rows - 1) / unit_rows;
    bound.unit_bytes = static_cast<double>(unit_rows) * bound.impl->cost(desc, 1).bytes /
                       static_cast<double>(std::max<int64_t>(desc.rows, 1));
    first_unit += bound.units;
  }
}

uint64_t Linear::packed_bytes() const {
  uint64_t bytes = 0;
  for (const BoundPart& bound : parts_) bytes += aligned(bound.impl->packed_bytes(desc_of(bound.part, cols_)));
  return bytes;
}

bool Linear::copies(int64_t part) const { return parts_[static_cast<size_t>(part)].impl->pack != nullptr; }

void Linear::pack(std::byte* storage, const Team& team) {
  // By the division of a single token: on a machine with several memories a worker's share lies in its own.
  const Team::Range units = share_of(team.index(), team.size(), true);
  for (BoundPart& bound : parts_) {
    if (bound.impl->pack == nullptr) continue;
    const LinearDesc desc = desc_of(bound.part, cols_);
    const int64_t begin = std::clamp(units.begin - bound.first_unit, int64_t{0}, bound.units) * bound.unit_panels;
    const int64_t end = std::clamp(units.end - bound.first_unit, int64_t{0}, bound.units) * bound.unit_panels;
    if (begin < end) bound.impl->pack(desc, bound.part.data, storage, begin, std::min(end, bound.panels()));
    if (team.index() == 0) bound.weights = storage;
    storage += aligned(bound.impl->packed_bytes(desc));
  }
}

void Linear::adopt(const std::byte* storage) {
  for (BoundPart& bound : parts_) {
    if (bound.impl->pack == nullptr) continue;
    bound.weights = storage;
    storage += aligned(bound.impl->packed_bytes(desc_of(bound.part, cols_)));
  }
}

std::string Linear::packed_layout() const {
  std::string text;
  for (const BoundPart& bound : parts_) {
    if (bound.impl->pack == nullptr) continue;
    const LinearDesc desc = desc_of(bound.part, cols_);
    text += fmt::format("{}{}/{} {} {}x{} {}", text.empty() ? "" : " + ", bound.impl->name, bound.impl->layout,
                        name_of(desc.format), desc.rows, desc.cols, bound.impl->packed_bytes(desc));
  }
  return text;
}

bool Linear::agrees_with_file(uint64_t seed, float* scratch) const {
  float *packed = scratch, *file = scratch + cols_;
  for (const BoundPart& bound : parts_) {
    if (bound.impl->pack == nullptr) continue;
    const LinearDesc desc = desc_of(bound.part, cols_);
    const FormatInfo& format = format_info(desc.format);
    const auto half = static_cast<uint64_t>((desc.rows + 1) / 2);
    const int64_t at = desc.rows / 4 + static_cast<int64_t>(random_bits(seed, half) % half);
    const int64_t blocks = cols_ / format.block_elements;
    bound.impl->read_row(desc, bound.weights, at, packed);
    format.decode(bound.part.data + at * blocks * format.block_bytes, blocks, file);
    // As bits: a NaN of the file is one here too.
    if (std::memcmp(packed, file, static_cast<size_t>(cols_) * sizeof(float)) != 0) return false;
  }
  return true;
}

// Of one worker: a row that a LinearRow makes, and as much for its own use.
uint64_t Linear::scratch_bytes() const { return aligned(2 * static_cast<uint64_t>(cols_) * sizeof(float)); }

uint64_t Linear::prepared_bytes(int64_t tokens) const {
  return static_cast<uint64_t>(prepared_rows(tokens)) * prepared_row_bytes_;
}

uint64_t Linear::workspace_bytes(int64_t tokens, int workers) const {
  return static_cast<uint64_t>(workers) * scratch_bytes() +
         std::max(prepared_bytes(tokens), static_cast<uint64_t>(workers) * prepared_row_bytes_);
}

void Linear::prepare_row(const LinearArgs& args, int64_t token, bool owner, float* scratch, std::byte* prepared) const {
  const float* x = args.row ? args.row(token, owner, scratch) : args.x + token * args.x_stride;
  for (const BoundPart& bound : parts_) {
    if (!bound.owns_slot) continue;
    std::byte* slot = prepared + bound.prepared_offset * prepared_rows(args.tokens);
    prepare_token(*bound.impl, x, cols_, slot, token, args.tokens);
  }
}

void Linear::run(const LinearArgs& args, const Team& team) const {
  if (args.tokens <= 0) return;
  // A scratch a worker; then prepared rows, slot after slot, [tokens] rows in each. A single row is prepared by every
  // worker for itself: that is cheaper than a barrier.
  auto* scratch = reinterpret_cast<float*>(args.workspace + static_cast<uint64_t>(team.index()) * scratch_bytes());
  std::byte* prepared = args.workspace + static_cast<uint64_t>(team.size()) * scratch_bytes();
  const bool one_token = args.tokens == 1;
  if (one_token) {
    prepared += static_cast<uint64_t>(team.index()) * prepared_row_bytes_;
    prepare_row(args, 0, team.index() == 0, scratch, prepared);
  } else {
    const Team::Range tokens = team.share(args.tokens);
    for (int64_t t = tokens.begin; t < tokens.end; ++t) prepare_row(args, t, true, scratch, prepared);
    team.sync();
  }
  team.each_piece([&](int worker) { return share_of(worker, team.size(), one_token); },
                  [&](Team::Range units) { run_units(args, prepared, units); });
}

// The units of all parts are one list, cut into as many contiguous pieces of equal work as there are workers. Work is
// the bytes of a unit when one token reads them, and rows (so operations) when several do.
Team::Range Linear::share_of(int worker, int workers, bool one_token) const {
  const auto work_of = [&](const BoundPart& bound) {
    return one_token ? bound.unit_bytes : static_cast<double>(bound.unit_rows());
  };
  double total = 0;
  int64_t units = 0;
  for (const BoundPart& bound : parts_) {
    total += work_of(bound) * static_cast<double>(bound.units);
    units = bound.first_unit + bound.units;
  }
  if (division_.paired) return {units * worker / workers, units * (worker + 1) / workers};
  const auto cut = [&](int index) -> int64_t {
    if (index == workers) return units;
    double left = total * index / workers;
    for (const BoundPart& bound : parts_) {
      const double work = work_of(bound) * static_cast<double>(bound.units);
      if (left < work) return bound.first_unit + std::llround(left / work_of(bound));
      left -= work;
    }
    return units;
  };
  return {cut(worker), cut(worker + 1)};
}

void Linear::run_units(const LinearArgs& args, const std::byte* prepared, Team::Range units) const {
  int64_t rows_begin = rows_, rows_end = 0;
  for (const BoundPart& bound : parts_) {
    const int64_t begin = std::clamp(units.begin - bound.first_unit, int64_t{0}, bound.units);
    const int64_t end = std::clamp(units.end - bound.first_unit, int64_t{0}, bound.units);
    if (begin >= end) continue;
    const LinearJob job{.desc = desc_of(bound.part, cols_),
                        .weights = bound.weights,
                        .prepared = prepared + bound.prepared_offset * prepared_rows(args.tokens),
                        .prepared_stride = static_cast<int64_t>(bound.impl->prepared_bytes(cols_)),
                        .tokens = args.tokens,
                        .out = args.out + bound.first_row,
                        .out_stride = args.out_stride,
                        .bias = bound.part.bias};
    bound.impl->run(job, begin * bound.unit_panels, std::min(end * bound.unit_panels, bound.panels()));
    const int64_t first_row = division_.paired ? 0 : bound.first_row;
    rows_begin = std::min(rows_begin, first_row + begin * bound.unit_rows());
    rows_end = std::max(rows_end, first_row + std::min(end * bound.unit_rows(), bound.part.rows));
  }
  if (args.done && rows_begin < rows_end) args.done(rows_begin, rows_end);
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
  double most_ops = -1;
  for (const BoundPart& bound : parts_) {
    const Cost cost = bound.impl->cost(desc_of(bound.part, cols_), tokens);
    sum.bytes += cost.bytes;
    sum.ops += cost.ops;
    if (bound.part.bias != nullptr) sum.bytes += static_cast<double>(bound.part.rows) * sizeof(float);
    if (cost.ops > most_ops) sum.arithmetic = cost.arithmetic;
    most_ops = std::max(most_ops, cost.ops);
  }
  // Each part counted x, which is read once.
  sum.bytes -= static_cast<double>((part_count() - 1) * tokens * cols_) * sizeof(float);
  sum.activations = static_cast<double>(tokens * (rows_ + cols_)) * sizeof(float);
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
