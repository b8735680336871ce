#include "model/builder.h"

#include <cmath>

namespace tern {
namespace {

WeightUse bias_of(Role weight, int32_t layer, int64_t cols) {
  WeightUse use{weight, layer, 1, cols};
  use.bias = true;
  return use;
}

}  // namespace

ProgramBuilder::ProgramBuilder(const ModelConfig& config) : config_(config) {
  program_.vocabulary = config.vocabulary;
  program_.attention = {
      config.heads,
      config.kv_heads,
      config.head_dim,
      config.window,
      config.attention_scale > 0 ? config.attention_scale : 1.0f / std::sqrt(static_cast<float>(config.head_dim)),
      config.rope.dims,
      config.rope.style};
}

Operand ProgramBuilder::new_buffer(std::string name, int64_t cols, RowCount rows) {
  program_.buffers.push_back({std::move(name), rows, cols});
  return {static_cast<int32_t>(program_.buffers.size()) - 1, 0, cols};
}

Op& ProgramBuilder::append(OpKind kind, int32_t layer) {
  program_.ops.push_back({.kind = kind, .layer = layer});
  return program_.ops.back();
}

RowCount ProgramBuilder::rows_of(const Operand& operand) const {
  return program_.buffers[static_cast<size_t>(operand.buffer)].rows;
}

Operand ProgramBuilder::embed() {
  const Operand out = new_buffer("embedding", config_.hidden);
  Op& op = append(OpKind::kEmbed, -1);
  op.outputs = {out};
  op.weights = {{Role::kTokenEmbedding, -1, config_.vocabulary, config_.hidden}};
  if (config_.token_types) {
    op.weights.push_back({.role = Role::kTokenTypes, .rows = 1, .cols = config_.hidden, .first_row = 0});
  }
  if (config_.learned_positions) op.weights.push_back({Role::kPositions, -1, config_.context, config_.hidden});
  op.scale = config_.embedding_scale;
  return out;
}

Operand ProgramBuilder::norm(Operand in, Role weight, int32_t layer) {
  const Operand out = new_buffer("norm", in.cols, rows_of(in));
  Op& op = append(OpKind::kRmsNorm, layer);
  op.inputs = {in};
  op.outputs = {out};
  op.weights = {{weight, layer, 1, in.cols}};
  op.weights[0].plus = config_.norm_plus;
  op.eps = config_.norm_eps;
  op.centered = config_.layer_norms;
  if (config_.norm_bias) op.biases = {bias_of(weight, layer, in.cols)};
  return out;
}

Operand ProgramBuilder::linear(Operand in, Role weight, bool bias, int32_t layer, int64_t out_features,
                               std::string name) {
  const Operand out = new_buffer(std::move(name), out_features, rows_of(in));
  Op& op = append(OpKind::kLinear, layer);
  op.inputs = {in};
  op.outputs = {out};
  op.weights = {{weight, layer, out_features, in.cols}};
  if (bias) op.biases = {bias_of(weight, layer, out_features)};
  return out;
}

Operand ProgramBuilder::linear_rows(Operand in, Role weight, int64_t first_row, int32_t layer, int64_t out_features,
                                    std::string name, bool bias) {
  const Operand out = linear(in, weight, bias, layer, out_features, std::move(name));
  program_.ops.back().weights[0].first_row = first_row;
  if (bias) program_.ops.back().biases[0].first_row = first_row;
  return out;
}

Operand ProgramBuilder::head_norm(Operand in, Role weight, int32_t layer) {
  const Operand out = new_buffer("normed_heads", in.cols);
  Op& op = append(OpKind::kHeadNorm, layer);
  op.inputs = {in};
  op.outputs = {out};
  op.weights = {{weight, layer, 1, config_.head_dim}};
  op.weights[0].plus = config_.norm_plus;
  op.eps = config_.norm_eps;
  return out;
}

Operand ProgramBuilder::scale_queries(Operand q, int32_t layer) {
  if (config_.query_scale_length == 0 || config_.attention_of(layer).rope >= 0) return q;
  const Operand out = new_buffer("scaled_q", q.cols);
  Op& op = append(OpKind::kPositionScale, layer);
  op.inputs = {q};
  op.outputs = {out};
  op.scale = config_.query_scale;
  op.scale_length = config_.query_scale_length;
  return out;
}

Operand ProgramBuilder::scale(Operand in, float scale, int32_t layer) {
  if (scale == 1) return in;
  const Operand out = new_buffer("scaled", in.cols, rows_of(in));
  Op& op = append(OpKind::kScale, layer);
  op.inputs = {in};
  op.outputs = {out};
  op.scale = scale;
  return out;
}

Operand ProgramBuilder::soft_cap(Operand in, float cap) {
  if (cap == 0) return in;
  const Operand out = new_buffer("capped", in.cols, rows_of(in));
  Op& op = append(OpKind::kSoftCap, -1);
  op.inputs = {in};
  op.outputs = {out};
  op.soft_cap = cap;
  return out;
}

Operand ProgramBuilder::rope(Operand in, int32_t layer, std::string name) {
  const Operand out = new_buffer(std::move(name), in.cols);
  Op& op = append(OpKind::kRope, layer);
  op.inputs = {in};
  op.outputs = {out};
  op.rope = config_.attention_of(layer).rope;
  return out;
}

void ProgramBuilder::kv_write(Operand k, Operand v, int32_t layer, int32_t cache_group) {
  Op& op = append(OpKind::kKvWrite, layer);
  op.inputs = {k, v};
  op.cache_group = cache_group;
}

Operand ProgramBuilder::attention(Operand q, int32_t layer, int32_t cache_group) {
  const Operand out = new_buffer("attention", q.cols);
  Op& op = append(OpKind::kAttention, layer);
  op.inputs = {q};
  op.outputs = {out};
  op.cache_group = cache_group;
  op.soft_cap = config_.attention_soft_cap;
  op.causal = config_.causal;
  if (config_.attention_sinks) op.weights = {{Role::kAttentionSinks, layer, 1, config_.heads}};
  return out;
}

Operand ProgramBuilder::activation(Operand in, int32_t layer) {
  const Operand out = new_buffer("activation", in.cols);
  Op& op = append(OpKind::kActivation, layer);
  op.inputs = {in};
  op.outputs = {out};
  op.activation = config_.activation;
  return out;
}

Operand ProgramBuilder::route(Operand scores, int32_t layer) {
  const Operand out = new_buffer("route", 2 * config_.route.used, rows_of(scores));
  Op& op = append(OpKind::kRoute, layer);
  op.inputs = {scores};
  op.outputs = {out};
  op.route = config_.route;
  if (config_.choice_bias) op.weights = {{Role::kChoiceBias, layer, 1, config_.route.experts}};
  return out;
}

Operand ProgramBuilder::head_product(Operand in, WeightUse matrix, const HeadColumns& columns, std::string name) {
  const Operand out = new_buffer(std::move(name), columns.heads * (columns.kept + matrix.rows), rows_of(in));
  Op& op = append(OpKind::kHeadProduct, matrix.layer);
  op.inputs = {in};
  op.outputs = {out};
  op.weights = {matrix};
  op.weights[0].experts = columns.heads;
  op.head_columns = columns;
  return out;
}

Operand ProgramBuilder::short_conv(Operand in, int64_t length, int32_t layer, int32_t cache_group) {
  const Operand out = new_buffer("convolved", in.cols / 3, rows_of(in));
  Op& op = append(OpKind::kShortConv, layer);
  op.inputs = {in};
  op.outputs = {out};
  op.weights = {{Role::kConv, layer, out.cols, length}};
  op.cache_group = cache_group;
  return out;
}

Operand ProgramBuilder::first_columns(Operand in, int64_t heads, int64_t cols, int32_t layer, std::string name) {
  const Operand out = new_buffer(std::move(name), cols, rows_of(in));
  Op& op = append(OpKind::kHeadColumns, layer);
  op.inputs = {in};
  op.outputs = {out};
  op.head_columns.heads = heads;
  return out;
}

Operand ProgramBuilder::sigmoid_gate(Operand in, Operand gate, int64_t heads, int32_t layer) {
  const Operand out = new_buffer("gated", in.cols, rows_of(in));
  Op& op = append(OpKind::kSigmoidGate, layer);
  op.inputs = {in, gate};
  op.outputs = {out};
  op.head_columns.heads = heads;
  if (gate.cols > 1) op.head_columns.begin = (gate.cols - in.cols) / heads;
  return out;
}

Operand ProgramBuilder::gated_delta(std::vector<Operand> ins, int32_t layer, int32_t cache_group) {
  const DeltaFacts& delta = config_.delta;
  const Operand out = new_buffer("delta", delta.values(), rows_of(ins[0]));
  Op& op = append(OpKind::kGatedDelta, layer);
  op.inputs = std::move(ins);
  op.outputs = {out};
  op.weights = {{Role::kDeltaConv, layer, delta.channels(), delta.conv_length},
                {Role::kDeltaDecay, layer, 1, delta.value_heads},
                {Role::kDeltaBias, layer, 1, delta.value_heads},
                {Role::kDeltaNorm, layer, 1, delta.value_dim}};
  op.delta = delta;
  op.eps = config_.norm_eps;
  op.cache_group = cache_group;
  return out;
}

Operand ProgramBuilder::latent_key(Operand in, Role norm, int64_t rank, int32_t layer) {
  const Operand out = new_buffer("latent", in.cols, rows_of(in));
  Op& op = append(OpKind::kLatentKey, layer);
  op.inputs = {in};
  op.outputs = {out};
  op.weights = {{norm, layer, 1, rank}};
  op.eps = config_.norm_eps;
  return out;
}

Operand ProgramBuilder::experts(Operand in, Operand route, int32_t layer) {
  const Operand out = new_buffer("ffn_out", in.cols, rows_of(in));
  Op& op = append(OpKind::kExperts, layer);
  op.inputs = {in, route};
  op.outputs = {out};
  const int64_t ffn = config_.expert_ffn;
  op.weights = {{Role::kExpertGate, layer, ffn, in.cols},
                {Role::kExpertUp, layer, ffn, in.cols},
                {Role::kExpertDown, layer, in.cols, ffn}};
  if (config_.expert_bias) {
    op.biases = {bias_of(Role::kExpertGate, layer, ffn), bias_of(Role::kExpertUp, layer, ffn),
                 bias_of(Role::kExpertDown, layer, in.cols)};
  }
  for (WeightUse& use : op.weights) use.experts = config_.route.experts;
  for (WeightUse& use : op.biases) use.experts = config_.route.experts;
  op.route = config_.route;
  op.activation = config_.activation;
  return out;
}

Operand ProgramBuilder::mul(Operand a, Operand b, int32_t layer) {
  const Operand out = new_buffer("product", a.cols);
  Op& op = append(OpKind::kMul, layer);
  op.inputs = {a, b};
  op.outputs = {out};
  return out;
}

Operand ProgramBuilder::add(Operand a, Operand b, int32_t layer) {
  const Operand out = new_buffer("hidden", a.cols, rows_of(a));
  Op& op = append(OpKind::kAdd, layer);
  op.inputs = {a, b};
  op.outputs = {out};
  return out;
}

Operand ProgramBuilder::select_rows(Operand in) {
  const Operand out = new_buffer("selected", in.cols, RowCount::kRows);
  Op& op = append(OpKind::kSelectRows, -1);
  op.inputs = {in};
  op.outputs = {out};
  return out;
}

int32_t ProgramBuilder::cache_group(CacheGroup group) {
  program_.caches.push_back(std::move(group));
  return static_cast<int32_t>(program_.caches.size()) - 1;
}

Program ProgramBuilder::finish(std::string entry, Operand result) {
  program_.entries.push_back({std::move(entry), result});
  check_program(program_);
  return std::move(program_);
}

}  // namespace tern
