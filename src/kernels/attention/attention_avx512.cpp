// The attention family on AVX-512, 16 floats a register; the bodies are attention_tiles.h, attention_bf16_avx512.h and
// attention_int8.h.
#include "kernels/attention/attention_bf16_avx512.h"
#include "kernels/attention/attention_codes_avx512.h"
#include "kernels/attention/attention_tiles.h"
#include "kernels/isa.h"
#include "kernels/vector_avx512.h"

namespace tern {
namespace {

const AttentionImpl kRows[] = {
    {"avx512_bf16", kIsaAvx512 | kIsaAvx512Bf16, kIsaFastBf16Dot, Arithmetic::kBf16, kAttentionRows, kAttentionLoadRows,
     pair_supports, pair_scratch_bytes, pair_begin, pair_chunk, attention_merge<Avx512>, attention_finish<Avx512>},
    {"avx512_f32", kIsaAvx512, kIsaNone, Arithmetic::kF32, kAttentionRows, kAttentionLoadRows,
     attention_supports<Avx512>, attention_scratch_bytes, attention_begin<Avx512>, attention_chunk<Avx512>,
     attention_merge<Avx512>, attention_finish<Avx512>},
    {"avx512_int8", kIsaAvx512 | kIsaAvx512Vnni, kIsaNone, Arithmetic::kInt8, kAttentionRows, kAttentionLoadRows,
     int8_supports<Avx512>, code_scratch_bytes<Avx512Codes>, int8_begin<Avx512, Avx512Codes>,
     int8_chunk<Avx512, Avx512Codes>, attention_merge<Avx512>, attention_finish<Avx512>}};

}  // namespace

const AttentionImplSpan kAttentionAvx512 = {kRows, 3};

}  // namespace tern
