// Stands in for every *_avx2.cpp of the kernel families on processors without that instruction set.
#include "kernels/activation/glu_impl.h"
#include "kernels/attention/attention_impl.h"
#include "kernels/limits/limits_impl.h"
#include "kernels/linear/linear_impl.h"
#include "kernels/norm/norm_impl.h"
#include "kernels/rope/rope_impl.h"
#include "kernels/sample/row_scan_impl.h"

namespace tern {

const LinearImplSpan kLinearAvx2Codebooks = {nullptr, 0};
const LinearImplSpan kLinearAvx2Fp8 = {nullptr, 0};
const LinearImplSpan kLinearAvx2 = {nullptr, 0};
const LinearImplSpan kLinearAvx2Float = {nullptr, 0};
const LinearImplSpan kLinearAvx2Kquants = {nullptr, 0};
const AttentionImplSpan kAttentionAvx2 = {nullptr, 0};
const NormImplSpan kNormAvx2 = {nullptr, 0};
const RopeKvImplSpan kRopeKvAvx2 = {nullptr, 0};
const GluImplSpan kGluAvx2 = {nullptr, 0};
const RowScanImplSpan kRowScanAvx2 = {nullptr, 0};
const LoopSpan<ReadLoop> kReadLoopsAvx2 = {nullptr, 0};
const LoopSpan<PeakLoop> kPeakLoopsAvx2 = {nullptr, 0};

}  // namespace tern
