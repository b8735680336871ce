#include "engine/runner/cuda_steps.h"

#include "kernels/embed/rows_gpu.h"
#include "kernels/linear/decode_product.h"

namespace tern {
namespace {

double bytes_of(const CudaPlace& place, const BatchShape& shape) {
  return static_cast<double>(count_of(place, shape) * place.row_bytes());
}

// An op that only moves its operands.
Cost moving(double bytes) { return {.bytes = bytes, .activations = bytes}; }

}  // namespace

void CudaTailStep::run(const CudaStepContext& context) const {
  if (!in_product_ || context.count(rows_) > kDecodeProductMaxTokens) launch(context);
}

std::string CudaTailStep::kernel() const { return in_product_ ? "in the product | " + own_kernel() : own_kernel(); }

Cost CudaTailStep::cost(const BatchShape& shape) const {
  const int64_t count = rows_ == RowCount::kTokens ? shape.tokens : shape.rows;
  return in_product_ && count <= kDecodeProductMaxTokens ? Cost{} : own_cost(shape);
}

void CudaEmbedStep::run(const CudaStepContext& context) const {
  check_cuda(kGpuEmbedSm80.run({.table = table_,
                                .ids = context.inputs.ids(),
                                .drawn = context.drawn,
                                .out = out_.floats(),
                                .tokens = context.tokens,
                                .cols = out_.cols,
                                .overlap = false,  // it stands behind the copy of the inputs
                                .scale = scale_},
                               context.stream),
             "embed");
}

std::string CudaEmbedStep::kernel() const { return kGpuEmbedSm80.name; }

Cost CudaEmbedStep::cost(const BatchShape& shape) const { return moving(1.5 * bytes_of(out_, shape)); }

Cost CudaHiddenStep::cost(const BatchShape& shape) const { return moving(bytes_of(out_, shape)); }

void CudaSelectRowsStep::run(const CudaStepContext& context) const {
  check_cuda(kGpuSelectRowsSm80.run({.in = in_.data,
                                     .index = context.inputs.wanted(),
                                     .out = out_.data,
                                     .rows = context.rows,
                                     .row_bytes = in_.row_bytes(),
                                     .overlap = context.overlap},
                                    context.stream),
             "select_rows");
}

std::string CudaSelectRowsStep::kernel() const { return kGpuSelectRowsSm80.name; }

Cost CudaSelectRowsStep::cost(const BatchShape& shape) const { return moving(2 * bytes_of(out_, shape)); }

void CudaNormStep::launch(const CudaStepContext& context) const {
  check_cuda(kGpuNormSm80.run({.in = in_.floats(),
                               .delta = delta_.data,
                               .sum = sum_.floats(),
                               .weight = weight_,
                               .out = out_.data,
                               .tokens = context.count(out_.rows),
                               .cols = out_.cols,
                               .eps = eps_,
                               .overlap = context.overlap},
                              context.stream),
             "rms_norm");
}

void CudaNormStep::complete(const CudaStepContext&, DecodeProductArgs& product) const {
  product.output = DecodeOutput::kResidual;
  product.y = out_.data;
  product.y_stride = out_.cols;
  product.residual.before = in_.floats();
  product.residual.after = sum_.floats();
  product.residual.norm_weight = weight_;
}

std::string CudaNormStep::own_kernel() const { return kGpuNormSm80.name; }

Cost CudaNormStep::own_cost(const BatchShape& shape) const {
  double bytes = bytes_of(out_, shape);
  for (const CudaPlace& place : {in_, delta_, sum_})
    bytes += bytes_of(place, shape);  // of no columns where there is none
  return moving(bytes);
}

GpuRopeKvArgs CudaRopeKvStep::args(const CudaStepContext& context) const {
  return {.qkv = qkv_.data,
          .q_out = q_.data,
          .heads = static_cast<int32_t>(facts_.heads),
          .kv_heads = static_cast<int32_t>(facts_.kv_heads),
          .head_dim = static_cast<int32_t>(facts_.head_dim),
          .rope_dims = static_cast<int32_t>(facts_.rope_dims),
          .style = facts_.rope_style,
          .cos = weights_.cos,
          .sin = weights_.sin,
          .positions = context.inputs.positions(),
          .slots = context.inputs.slots(kv_.group),
          .kv = kv_.format,
          .view = kv_.view,
          .block_tokens = kv_.block_tokens,
          .tokens = context.tokens,
          .overlap = context.overlap,
          .q_norm = weights_.q_norm,
          .k_norm = weights_.k_norm,
          .norm_eps = weights_.norm_eps};
}

void CudaRopeKvStep::launch(const CudaStepContext& context) const {
  check_cuda(kGpuRopeKvSm80.run(args(context), context.stream), "rope_kv");
}

void CudaRopeKvStep::complete(const CudaStepContext& context, DecodeProductArgs& product) const {
  product.output = DecodeOutput::kRopeKv;
  product.y = q_.data;
  product.y_stride = q_.cols;
  product.rope = args(context);
}

std::string CudaRopeKvStep::own_kernel() const { return kGpuRopeKvSm80.name; }

Cost CudaRopeKvStep::own_cost(const BatchShape& shape) const { return moving(2 * bytes_of(qkv_, shape)); }

void CudaAttentionStep::run(const CudaStepContext& context) const {
  attention_.run(context.inputs, kv_, q_.data, out_.data, context.tokens, context.stream, context.overlap);
}

void CudaPointwiseStep::run(const CudaStepContext& context) const {
  check_cuda(kGpuPointwiseSm80.run({.in = in_.data,
                                    .out = out_.data,
                                    .f32 = out_.f32,
                                    .count = context.count(in_.rows) * in_.cols,
                                    .scale = scale_,
                                    .soft_cap = soft_cap_,
                                    .overlap = context.overlap},
                                   context.stream),
             "pointwise");
}

std::string CudaPointwiseStep::kernel() const { return kGpuPointwiseSm80.name; }

Cost CudaPointwiseStep::cost(const BatchShape& shape) const { return moving(2 * bytes_of(in_, shape)); }

void CudaGluStep::launch(const CudaStepContext& context) const {
  check_cuda(kGpuGluSm80.run({.activation = activation_,
                              .gate_up = in_.data,
                              .out = out_.data,
                              .tokens = context.count(in_.rows),
                              .cols = out_.cols,
                              .overlap = context.overlap},
                             context.stream),
             "glu");
}

void CudaGluStep::complete(const CudaStepContext&, DecodeProductArgs& product) const {
  product.output = DecodeOutput::kGlu;
  product.y = out_.data;
  product.y_stride = out_.cols;
  product.activation = activation_;
}

std::string CudaGluStep::own_kernel() const { return kGpuGluSm80.name; }

Cost CudaGluStep::own_cost(const BatchShape& shape) const {
  return moving(bytes_of(in_, shape) + bytes_of(out_, shape));
}

}  // namespace tern
