// Stands in for every *_amx.cpp of the kernel families on processors without that instruction set.
#include "kernels/attention/attention_impl.h"
#include "kernels/limits/limits_impl.h"
#include "kernels/linear/linear_impl.h"

namespace tern {

const AttentionImplSpan kAttentionAmx = {nullptr, 0};
const LinearImplSpan kLinearAmxCodebooks = {nullptr, 0};
const LinearImplSpan kLinearAmx = {nullptr, 0};
const LinearImplSpan kLinearAmxKquants = {nullptr, 0};
const LinearImplSpan kLinearAmxBf16 = {nullptr, 0};
const LoopSpan<PeakLoop> kPeakLoopsAmx = {nullptr, 0};

}  // namespace tern
