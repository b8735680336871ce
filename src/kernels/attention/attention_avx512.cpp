// The attention family on AVX-512, 16 floats a register; the body is attention_tiles.h.
#include "kernels/attention/attention_tiles.h"
#include "kernels/isa.h"
#include "kernels/vector_avx512.h"

namespace tern {
namespace {

const AttentionImpl kRows[] = {{"avx512", kIsaAvx512, attention_supports<Avx512>, attention_scratch_bytes,
                                attention_begin<Avx512>, attention_chunk<Avx512>, attention_merge<Avx512>,
                                attention_finish<Avx512>}};

}  // namespace

const AttentionImplSpan kAttentionAvx512 = {kRows, 1};

}  // namespace tern
