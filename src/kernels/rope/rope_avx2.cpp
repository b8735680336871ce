// The rope family on AVX2, 8 floats a register; the body is rope_columns.h.
#include "kernels/isa.h"
#include "kernels/rope/rope_columns.h"
#include "kernels/vector_avx2.h"

namespace tern {
namespace {

const RopeKvImpl kRows[] = {{"avx2", kIsaAvx2, rope_supports, rope_run<Avx2>}};

}  // namespace

const RopeKvImplSpan kRopeKvAvx2 = {kRows, 1};

}  // namespace tern
