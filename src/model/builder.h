// Writes a source program, op by op. Blocks use it; nothing else builds programs from scratch.
#pragma once

#include <string>

#include "model/config.h"
#include "model/program.h"

namespace tern {

class ProgramBuilder {
 public:
  explicit ProgramBuilder(const ModelConfig& config);

  // Each appends one op and returns the buffer that it assigns. With `bias`: of the vector beside the weight.
  Operand embed();
  Operand norm(Operand in, Role weight, int32_t layer);
  Operand linear(Operand in, Role weight, bool bias, int32_t layer, int64_t out_features, std::string name);
  // `weight`, as it lies in rows of a larger tensor from `first_row` on.
  Operand linear_rows(Operand in, Role weight, int64_t first_row, int32_t layer, int64_t out_features, std::string name,
                      bool bias = false);
  Operand head_norm(Operand in, Role weight, int32_t layer);
  // With their position, in layers that do not rotate and where the model says so; otherwise as they are.
  Operand scale_queries(Operand q, int32_t layer);
  Operand rope(Operand in, int32_t layer, std::string name);
  Operand scale(Operand in, float scale, int32_t layer);  // `in` itself for 1
  Operand soft_cap(Operand in, float cap);                // `in` itself for 0
  void kv_write(Operand k, Operand v, int32_t layer, int32_t cache_group);
  Operand attention(Operand q, int32_t layer, int32_t cache_group);
  Operand activation(Operand in, int32_t layer);
  Operand route(Operand scores, int32_t layer);
  Operand experts(Operand in, Operand route, int32_t layer);
  // See OpKind. `matrix`: of one head.
  Operand head_product(Operand in, WeightUse matrix, const HeadColumns& columns, std::string name);
  Operand short_conv(Operand in, int64_t length, int32_t layer, int32_t cache_group);
  // The first columns of each head, as many of them as make `cols` together.
  Operand first_columns(Operand in, int64_t heads, int64_t cols, int32_t layer, std::string name);
  // gate: one column for all, or `in`'s columns are those behind the first ones of each of its `heads`.
  Operand sigmoid_gate(Operand in, Operand gate, int64_t heads, int32_t layer);
  // ins: see OpKind.
  Operand gated_delta(std::vector<Operand> ins, int32_t layer, int32_t cache_group);
  Operand latent_key(Operand in, Role norm, int64_t rank, int32_t layer);
  Operand mul(Operand a, Operand b, int32_t layer);
  Operand add(Operand a, Operand b, int32_t layer);
  Operand select_rows(Operand in);
  int32_t cache_group(CacheGroup group);

  Program finish(std::string entry, Operand result);

 private:
  Operand new_buffer(std::string name, int64_t cols, RowCount rows = RowCount::kTokens);
  Op& append(OpKind kind, int32_t layer);
  RowCount rows_of(const Operand& operand) const;

  const ModelConfig& config_;
  Program program_;
};

}  // namespace tern
