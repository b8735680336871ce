#include "kernels/norm/norm.h"

#include "core/error.h"

namespace tern {
namespace {

constexpr const NormImplSpan* kSpans[] = {&kNormAvx512, &kNormAvx2, &kNormRef};

}  // namespace

RmsNorm::RmsNorm(const KernelSelection& selection) {
  impl_ = first_allowed("norm", kSpans, selection, [](const NormImpl&) { return true; });
  if (impl_ == nullptr) impl_ = kNormRef.rows;
}

void RmsNorm::run(const NormArgs& args, const Team& team) const {
  TERN_CHECK(args.delta == nullptr || args.sum != nullptr);
  const Team::Range rows = team.share(args.tokens);
  if (rows.begin < rows.end) impl_->run(args, rows.begin, rows.end);
}

Cost RmsNorm::cost(int64_t tokens, int64_t cols, bool with_delta) {
  const double elements = static_cast<double>(tokens) * static_cast<double>(cols);
  return {.bytes = 4 * (elements * (with_delta ? 4 : 2) + static_cast<double>(cols)),
          .ops = elements * (with_delta ? 5 : 4),
          .activations = 4 * elements * (with_delta ? 4 : 2)};
}

std::string RmsNorm::kernel_name() const { return impl_->name; }

std::vector<KernelListing> norm_listing() { return list_family("norm", kSpans); }

}  // namespace tern
