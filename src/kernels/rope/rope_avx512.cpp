// The rope family on AVX-512, 16 floats a register; the body is rope_columns.h.
#include "kernels/isa.h"
#include "kernels/rope/rope_columns.h"
#include "kernels/vector_avx512.h"

namespace tern {
namespace {

const RopeKvImpl kRows[] = {{"avx512", kIsaAvx512, rope_supports, rope_run<Avx512>}};

}  // namespace

const RopeKvImplSpan kRopeKvAvx512 = {kRows, 1};

}  // namespace tern
