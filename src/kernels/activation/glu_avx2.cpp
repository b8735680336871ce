// The gated activation family on AVX2, 8 floats a register; the body is glu_lanes.h.
#include "kernels/activation/glu_lanes.h"
#include "kernels/isa.h"
#include "kernels/vector_avx2.h"

namespace tern {
namespace {

const GluImpl kRows[] = {{"avx2", kIsaAvx2, glu_supports, glu_run<Avx2>}};

}  // namespace

const GluImplSpan kGluAvx2 = {kRows, 1};

}  // namespace tern
