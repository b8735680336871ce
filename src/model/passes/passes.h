// From the source program to the lowered one. Each pass is a pure function in a file of its own; the order is
// lower()'s.
#pragma once

#include "model/program.h"

namespace tern {

// Neighbouring linear ops that read the same operand become one with stacked weights (Q, K, V; gate and up). Their
// outputs become column ranges of one buffer.
Program merge_linears(const Program& program);

// add followed by the norm of its result: one op with both outputs.
Program fuse_add_norm(const Program& program);

// rope(q), rope(k), kv_write of ranges of one buffer: one op.
Program fuse_rope_kv(const Program& program);

// mul(activation(gate), up) of ranges of one buffer: one op.
Program fuse_glu(const Program& program);

// Rows whose logits nobody wants leave the program as early as possible: select_rows moves up to the last attention.
Program select_rows_early(const Program& program);

// A norm in front of a linear becomes its prologue, rope_kv or glu behind it its epilogue, where nobody else reads what
// passes between: no wait of all workers stands between them then. Attention behind such a product begins head by head.
// The last pass: the others look at plain ops.
Program fuse_into_linear(const Program& program);

// A source program in two: the layers below `layer`, which end in the entry "hidden", and the others, which begin with
// the op of that name. Each has all cache groups, with its own layers in them. 0 < layer < layers.
struct ProgramHalves {
  Program first, second;
};
ProgramHalves split_at(const Program& source, int32_t layer);

// Drops buffers that no op assigns any more and numbers the rest anew.
Program drop_unused_buffers(const Program& program);

// The passes that a program runs without as well, for measuring what they give.
struct PassSelection {
  bool select_rows_early = true;
  bool fuse_into_linear = true;
  // TERN_PASSES: a comma list of -select_rows_early, -fuse_into_linear. Throws bad_input for anything else.
  static PassSelection from_environment();
};

Program lower(const Program& source, const PassSelection& passes = {});

// Where each buffer lives: column offsets inside one arena of `token_cols` f32 columns a token and one of `row_cols` a
// wanted row. Buffers whose lifetimes do not overlap share columns. What a prologue hands to its linear has no place.
struct MemoryPlan {
  std::vector<int64_t> offset;  // per buffer, in columns; -1: no place
  int64_t token_cols = 0;
  int64_t row_cols = 0;
};
MemoryPlan plan_memory(const Program& program);

}  // namespace tern
