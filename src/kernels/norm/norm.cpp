#include "kernels/norm/norm.h"

#include "core/error.h"

namespace tern {
namespace {

constexpr const NormImplSpan* kSpans[] = {&kNormAvx512, &kNormAvx2, &kNormRef};

}  // namespace

RmsNorm::RmsNorm(const KernelSelection& selection) : impl_(kNormRef.rows) {
  for (const NormImplSpan* span : kSpans) {
    for (int i = 0; i < span->count; ++i) {
      if (!selection.allows("norm", span->rows[i].name, span->rows[i].needs)) continue;
      impl_ = &span->rows[i];
      return;
    }
  }
}

void RmsNorm::run(const NormArgs& args, const Team& team) const {
  TERN_CHECK(args.delta == nullptr || args.sum != nullptr);
  const Team::Range rows = team.share(args.tokens);
  if (rows.begin < rows.end) impl_->run(args, rows.begin, rows.end);
}

Cost RmsNorm::cost(int64_t tokens, int64_t cols, bool with_delta) {
  const double elements = static_cast<double>(tokens) * static_cast<double>(cols);
  return {.bytes = 4 * (elements * (with_delta ? 4 : 2) + static_cast<double>(cols)),
          .ops = elements * (with_delta ? 5 : 4)};
}

std::string RmsNorm::kernel_name() const { return impl_->name; }

std::vector<KernelListing> norm_listing() {
  std::vector<KernelListing> listing;
  const uint32_t isa = detect_isa();
  for (const NormImplSpan* span : kSpans) {
    for (int i = 0; i < span->count; ++i) {
      const NormImpl& row = span->rows[i];
      listing.push_back({"norm", row.name, row.needs, (row.needs & isa) == row.needs});
    }
  }
  return listing;
}

}  // namespace tern
