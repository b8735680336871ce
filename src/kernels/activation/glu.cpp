#include "kernels/activation/glu.h"

#include <algorithm>

namespace tern {
namespace {

constexpr const GluImplSpan* kSpans[] = {&kGluAvx512, &kGluAvx2, &kGluRef};

// Elements in the unit of work: a multiple of every vector length, and of the 16 floats of a cache line of the output.
constexpr int64_t kGrain = 64;

}  // namespace

Glu::Glu(Activation activation, const KernelSelection& selection) : activation_(activation) {
  impl_ = first_allowed("activation", kSpans, selection, [&](const GluImpl& row) { return row.supports(activation); });
  if (impl_ == nullptr) impl_ = kGluRef.rows;
}

void Glu::run(const GluArgs& args, const Team& team) const {
  // The tokens' outputs are one range of elements, cut into equal shares whatever the number of rows.
  const Team::Range share = team.share(args.tokens * args.cols, kGrain);
  for (int64_t at = share.begin; at < share.end;) {
    const int64_t token = at / args.cols;
    const int64_t col = at % args.cols;
    const int64_t count = std::min(args.cols - col, share.end - at);
    const float* gate = args.gate_up + token * 2 * args.cols + col;
    impl_->run(activation_, gate, gate + args.cols, args.out + at, count);
    at += count;
  }
}

void Glu::run_columns(const GluArgs& args, int64_t begin, int64_t end) const {
  for (int64_t token = 0; token < args.tokens; ++token) {
    const float* gate = args.gate_up + token * 2 * args.cols + begin;
    impl_->run(activation_, gate, gate + args.cols, args.out + token * args.cols + begin, end - begin);
  }
}

Cost Glu::cost(int64_t tokens, int64_t cols) {
  const double elements = static_cast<double>(tokens) * static_cast<double>(cols);
  return {.bytes = 12 * elements, .ops = 16 * elements};
}

std::string Glu::kernel_name() const { return impl_->name; }

std::vector<KernelListing> glu_listing() { return list_family("activation", kSpans); }

}  // namespace tern
