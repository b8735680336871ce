// The norm family on AVX2, 8 floats a register; the body is norm_rows.h.
#include "kernels/isa.h"
#include "kernels/norm/norm_rows.h"
#include "kernels/vector_avx2.h"

namespace tern {
namespace {

const NormImpl kRows[] = {{"avx2", kIsaAvx2, norm_rows<Avx2>}};

}  // namespace

const NormImplSpan kNormAvx2 = {kRows, 1};

}  // namespace tern
