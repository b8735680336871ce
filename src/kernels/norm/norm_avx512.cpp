// The norm family on AVX-512, 16 floats a register; the body is norm_rows.h.
#include "kernels/isa.h"
#include "kernels/norm/norm_rows.h"
#include "kernels/vector_avx512.h"

namespace tern {
namespace {

const NormImpl kRows[] = {{"avx512", kIsaAvx512, norm_rows<Avx512>}};

}  // namespace

const NormImplSpan kNormAvx512 = {kRows, 1};

}  // namespace tern
