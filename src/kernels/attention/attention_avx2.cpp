// The attention family on AVX2, 8 floats a register; the bodies are attention_tiles.h and attention_int8.h.
#include "kernels/attention/attention_codes_avx2.h"
#include "kernels/attention/attention_tiles.h"
#include "kernels/isa.h"
#include "kernels/vector_avx2.h"

namespace tern {
namespace {

const AttentionImpl kRows[] = {{"avx2_f32", kIsaAvx2, kIsaNone, Arithmetic::kF32, kAttentionRows, kAttentionLoadRows,
                                attention_supports<Avx2>, attention_scratch_bytes, attention_begin<Avx2>,
                                attention_chunk<Avx2>, attention_merge<Avx2>, attention_finish<Avx2>},
                               {"avx2_int8", kIsaAvx2, kIsaNone, Arithmetic::kInt8, kAttentionRows, kAttentionLoadRows,
                                int8_supports<Avx2>, code_scratch_bytes<Avx2Codes>, int8_begin<Avx2, Avx2Codes>,
                                int8_chunk<Avx2, Avx2Codes>, attention_merge<Avx2>, attention_finish<Avx2>}};

}  // namespace

const AttentionImplSpan kAttentionAvx2 = {kRows, 2};

}  // namespace tern
