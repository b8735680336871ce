// Stands in for every *_avx512.cpp of the kernel families on processors without that instruction set.
#include "kernels/activation/glu_impl.h"
#include "kernels/attention/attention_impl.h"
#include "kernels/limits/limits_impl.h"
#include "kernels/linear/linear_impl.h"
#include "kernels/norm/norm_impl.h"
#include "kernels/rope/rope_impl.h"
#include "kernels/sample/row_scan_impl.h"

namespace tern {

const LinearImplSpan kLinearAvx512Codebooks = {nullptr, 0};
const LinearImplSpan kLinearAvx512Fp8 = {nullptr, 0};
const LinearImplSpan kLinearAvx512 = {nullptr, 0};
const LinearImplSpan kLinearAvx512Float = {nullptr, 0};
const LinearImplSpan kLinearAvx512Kquants = {nullptr, 0};
const AttentionImplSpan kAttentionAvx512 = {nullptr, 0};
const NormImplSpan kNormAvx512 = {nullptr, 0};
const RopeKvImplSpan kRopeKvAvx512 = {nullptr, 0};
const GluImplSpan kGluAvx512 = {nullptr, 0};
const RowScanImplSpan kRowScanAvx512 = {nullptr, 0};
const LoopSpan<ReadLoop> kReadLoopsAvx512 = {nullptr, 0};
const LoopSpan<PeakLoop> kPeakLoopsAvx512 = {nullptr, 0};

}  // namespace tern
