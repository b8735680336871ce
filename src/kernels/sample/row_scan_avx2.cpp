// The row scan family on AVX2, 8 floats a register; the body is row_scan_lanes.h.
#include "kernels/isa.h"
#include "kernels/sample/row_scan_lanes.h"
#include "kernels/vector_avx2.h"

namespace tern {
namespace {

const RowScanImpl kRows[] = {{"avx2", kIsaAvx2, scan_largest<Avx2>, scan_weigh<Avx2>}};

}  // namespace

const RowScanImplSpan kRowScanAvx2 = {kRows, 1};

}  // namespace tern
