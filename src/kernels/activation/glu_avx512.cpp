// The gated activation family on AVX-512, 16 floats a register; the body is glu_lanes.h.
#include "kernels/activation/glu_lanes.h"
#include "kernels/isa.h"
#include "kernels/vector_avx512.h"

namespace tern {
namespace {

const GluImpl kRows[] = {{"avx512", kIsaAvx512, glu_supports, glu_run<Avx512>}};

}  // namespace

const GluImplSpan kGluAvx512 = {kRows, 1};

}  // namespace tern
