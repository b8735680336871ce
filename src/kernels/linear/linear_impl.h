// What one implementation of the linear family exports: a row of plain functions. ISA files include this and define
// `extern const LinearImplSpan`-style tables; linear.cpp joins them in order of preference.
//
// All functions are pure over ranges; the division of work among threads is linear.cpp's alone. Bits: an output element
// depends only on its weight row and its activation row, never on `tokens`, the range, or its place in the tile.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cost.h"
#include "quant/format_id.h"

namespace tern {

struct LinearDesc {
  int64_t rows;  // output features
  int64_t cols;  // input features: the length of a weight row
  Format format;
};

struct LinearJob {
  LinearDesc desc;
  const std::byte* weights;   // packed, or the file's own bytes when the layout keeps them
  const std::byte* prepared;  // [tokens] rows of `prepared_stride` bytes, from prepare() or prepare_among()
  int64_t prepared_stride;
  int64_t tokens;
  float* out;  // [tokens, out_stride], this matrix' columns at 0..rows
  int64_t out_stride;
  const float* bias;        // [rows] or null
  bool look_ahead = false;  // few tokens too should ask for weights ahead: this processor's prefetcher is no match
};

// Tokens whose prepared rows may lie among each other; of the last ones the room of all is taken, of fewer in all
// theirs.
constexpr int64_t kAmongTokens = 16;

struct LinearImpl {
  const char* name;    // "avx512_q4x32"
  const char* layout;  // packed layout's name; "file" keeps the file's bytes
  uint32_t needs;      // IsaBits
  int64_t panel_rows;  // weight rows in the unit of work
  bool (*supports)(const LinearDesc&);
  // Bytes of the packed matrix; 0 when the layout keeps the file's bytes.
  uint64_t (*packed_bytes)(const LinearDesc&);
  // Packs panels [begin, end) of `source` (the file's rows) into `packed` (start of the matrix). Null for "file".
  void (*pack)(const LinearDesc&, const std::byte* source, std::byte* packed, int64_t panel_begin, int64_t panel_end);
  // Bytes of one prepared activation row (64-byte multiple) and the preparation of one row.
  uint64_t (*prepared_bytes)(int64_t cols);
  void (*prepare)(const float* x, int64_t cols, std::byte* prepared);
  // Null: a job's prepared rows lie one after the other. Otherwise this prepares row `token` of `tokens` instead, and
  // the rows of kAmongTokens share the room of as many: what is multiplied together lies together.
  void (*prepare_among)(const float* x, int64_t cols, std::byte* prepared, int64_t token, int64_t tokens) = nullptr;
  // All tokens of the job for the weight panels [begin, end).
  void (*run)(const LinearJob&, int64_t panel_begin, int64_t panel_end);
  // Decodes weight row `row` to f32, exactly as the format's reference decoder would: out[cols].
  void (*read_row)(const LinearDesc&, const std::byte* weights, int64_t row, float* out);
  // Names what run() multiplies in with so many tokens: a row may leave few to another way.
  Cost (*cost)(const LinearDesc&, int64_t tokens);
};

struct LinearImplSpan {
  const LinearImpl* rows;
  int count;
};

// One per implementation file; empty in none_<isa>.cpp. kquants and codebooks: formats of 256-element super-blocks.
extern const LinearImplSpan kLinearAmx;
extern const LinearImplSpan kLinearAmxKquants;
extern const LinearImplSpan kLinearAmxCodebooks;
extern const LinearImplSpan kLinearAmxBf16;
extern const LinearImplSpan kLinearAvx512;
extern const LinearImplSpan kLinearAvx512Kquants;
extern const LinearImplSpan kLinearAvx512Codebooks;
extern const LinearImplSpan kLinearAvx512Float;
extern const LinearImplSpan kLinearAvx512Fp8;
extern const LinearImplSpan kLinearAvx2;
extern const LinearImplSpan kLinearAvx2Kquants;
extern const LinearImplSpan kLinearAvx2Codebooks;
extern const LinearImplSpan kLinearAvx2Float;
extern const LinearImplSpan kLinearAvx2Fp8;
extern const LinearImplSpan kLinearRef;

}  // namespace tern
