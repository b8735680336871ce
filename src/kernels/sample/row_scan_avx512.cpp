// The row scan family on AVX512, 16 floats a register; the body is row_scan_lanes.h.
#include "kernels/isa.h"
#include "kernels/sample/row_scan_lanes.h"
#include "kernels/vector_avx512.h"

namespace tern {
namespace {

const RowScanImpl kRows[] = {{"avx512", kIsaAvx512, scan_largest<Avx512>, scan_weigh<Avx512>}};

}  // namespace

const RowScanImplSpan kRowScanAvx512 = {kRows, 1};

}  // namespace tern
