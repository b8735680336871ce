// The attention family on AVX2, 8 floats a register; the body is attention_tiles.h.
#include "kernels/attention/attention_tiles.h"
#include "kernels/isa.h"
#include "kernels/vector_avx2.h"

namespace tern {
namespace {

const AttentionImpl kRows[] = {{"avx2", kIsaAvx2, attention_supports<Avx2>, attention_scratch_bytes,
                                attention_begin<Avx2>, attention_chunk<Avx2>, attention_merge<Avx2>,
                                attention_finish<Avx2>}};

}  // namespace

const AttentionImplSpan kAttentionAvx2 = {kRows, 1};

}  // namespace tern
