#include "engine/runner/cuda_linear.h"

#include <algorithm>

#include "core/error.h"
#include "kernels/linear/bias_gpu.h"
#include "kernels/linear/fp8_rows_gpu.h"
#include "kernels/linear/fp8_unpack_gpu.h"
#include "kernels/linear/w4_block32.h"
#include "kernels/linear/w4_unpack_gpu.h"

namespace tern {
namespace {

// The row of `table`, which is for Hopper, that multiplies so; null: none.
template <typename Table>
auto find_product(const Table& table, const DecodeProductDesc& desc, int capability) -> decltype(table.rows) {
  if (capability != 90) return nullptr;
  for (int i = 0; i < table.count; ++i) {
    if (table.rows[i].weight == desc.weight && table.rows[i].supports(desc)) return &table.rows[i];
  }
  return nullptr;
}

// What F8_E4M3 parts are kept as: with a scale a row, or for 128 x 128, where their scales reach so far.
DecodeWeight choose_fp8(std::span<const TensorInfo* const> parts) {
  constexpr int64_t kEdge = 128;
  bool channel = true, block = true;
  for (const TensorInfo* part : parts) {
    const bool last = part == parts.back();
    channel &= part->scale_cols >= part->cols();
    block &= (part->scale_rows % kEdge == 0 || part->scale_rows >= part->rows()) &&
             (part->scale_cols % kEdge == 0 || part->scale_cols >= part->cols()) && (last || part->rows() % kEdge == 0);
  }
  return channel ? DecodeWeight::kFp8Channel : block ? DecodeWeight::kFp8Block : DecodeWeight::kBf16;
}

}  // namespace

bool has_few_product(const DecodeProductDesc& desc, int capability) {
  return find_product(kDecodeProductSm90, desc, capability) != nullptr;
}

DecodeWeight choose_weight(std::span<const TensorInfo* const> parts, bool to_f32, const CudaOptions& cuda,
                           int capability) {
  const GpuQuantization wish = cuda.quantization;
  const auto all = [&](auto holds) { return std::all_of(parts.begin(), parts.end(), holds); };
  const int64_t cols = parts[0]->cols();
  if (to_f32 || capability != 90 || wish == GpuQuantization::kNone) return DecodeWeight::kBf16;
  // Parts are stacked in whole tiles of 16 rows; cuBLASLt's fp8 product takes multiples of 16.
  if (!all([](const TensorInfo* part) { return part->rows() % w4::kTileRows == 0; })) return DecodeWeight::kBf16;
  if (wish == GpuQuantization::kFp8) return cols % 16 == 0 ? DecodeWeight::kFp8Channel : DecodeWeight::kBf16;
  const auto all_are = [&](Format format) {
    return all([&](const TensorInfo* part) { return part->format == format; });
  };
  if (all_are(Format::kF8E4M3)) {  // columns are whole blocks of 32
    const DecodeWeight fp8 = choose_fp8(parts);
    return cuda.deterministic && fp8 == DecodeWeight::kFp8Block ? DecodeWeight::kBf16 : fp8;
  }
  if (cuda.deterministic) return DecodeWeight::kBf16;
  if (all_are(Format::kQ4_0)) return DecodeWeight::kW4Block32;
  const bool w4 = all([](const TensorInfo* part) {
    return part->format == Format::kQ4_0 || part->format == Format::kU4Zero || part->format == Format::kQ4_K;
  });
  return w4 ? DecodeWeight::kW4Block32Offset : DecodeWeight::kBf16;
}

void CudaProducts::need_fp8(int64_t tokens, int64_t cols) {
  token_bytes_ = std::max(token_bytes_, tokens * cols);
  scale_count_ = std::max(scale_count_, tokens);
}

void CudaProducts::need_matrix(int64_t rows, int64_t cols) { matrix_bytes_ = std::max(matrix_bytes_, rows * cols * 2); }

void CudaProducts::need_squares(int64_t cols) {
  const int64_t parts = cols / kDecodeTileRows;
  square_bytes_ = std::max(square_bytes_, kDecodeProductMaxTokens * parts * static_cast<int64_t>(sizeof(float)));
}

void CudaProducts::need_w4() { w4_bytes_ = w4_product_workspace_bytes(); }

void CudaProducts::reserve() {
  if (token_bytes_ > 0) tokens_ = CudaMemory(static_cast<uint64_t>(token_bytes_), "activations in 8 bits");
  if (scale_count_ > 0) scales_ = CudaMemory(static_cast<uint64_t>(scale_count_) * 4, "scales of activations");
  if (matrix_bytes_ > 0) matrix_ = CudaMemory(static_cast<uint64_t>(matrix_bytes_), "a decoded matrix");
  if (w4_bytes_ > 0) w4_workspace_ = CudaMemory(static_cast<uint64_t>(w4_bytes_), "parts of 4-bit products");
  if (square_bytes_ > 0) squares_ = CudaMemory(static_cast<uint64_t>(square_bytes_), "sums of squares");
}

void CudaProducts::run_bf16(const MatmulShape& shape, const MatmulOperands& operands, void* stream) {
  matmul_.run(shape, operands, stream);
}

void CudaProducts::run_fp8(const MatmulShape& shape, const MatmulOperands& operands, bool overlap, void* stream) {
  auto* scales = reinterpret_cast<float*>(scales_.data());
  check_cuda(kGpuFp8RowsSm90.run({.in = operands.x,
                                  .out = tokens_.data(),
                                  .scales = scales,
                                  .rows = shape.tokens,
                                  .cols = shape.cols,
                                  .overlap = overlap},
                                 stream),
             "fp8_rows");
  MatmulOperands rounded = operands;
  rounded.x = tokens_.data();
  rounded.x_scales = scales;
  MatmulShape fp8 = shape;
  fp8.fp8 = true;
  matmul_.run(fp8, rounded, stream);
}

void CudaProducts::run_fp8_blocks(const MatmulShape& shape, const MatmulOperands& operands, bool overlap,
                                  void* stream) {
  check_cuda(kGpuFp8UnpackSm90.run({.weights = operands.w,
                                    .scales = operands.w_scales,
                                    .out = matrix_.data(),
                                    .rows = shape.rows,
                                    .cols = shape.cols,
                                    .overlap = overlap},
                                   stream),
             "fp8_unpack");
  MatmulOperands decoded = operands;
  decoded.w = matrix_.data();
  decoded.w_scales = nullptr;
  matmul_.run(shape, decoded, stream);
}

void CudaProducts::run_w4_decoded(const MatmulShape& shape, const MatmulOperands& operands, bool offsets, bool overlap,
                                  void* stream) {
  check_cuda(kGpuW4UnpackSm90.run({.weights = operands.w,
                                   .out = matrix_.data(),
                                   .rows = shape.rows,
                                   .cols = shape.cols,
                                   .offsets = offsets,
                                   .overlap = overlap},
                                  stream),
             "w4_unpack");
  MatmulOperands decoded = operands;
  decoded.w = matrix_.data();
  matmul_.run(shape, decoded, stream);
}

CudaLinearStep::CudaLinearStep(CudaProducts& products, const CudaMatrix& weights, const float* bias, CudaPlace in,
                               CudaPlace out, int capability)
    : products_(products), weights_(weights), bias_(bias), in_(in), out_(out) {
  if (out.f32 || products.deterministic()) return;
  const DecodeProductDesc desc = {out.cols, in.cols, weights.weight};
  few_ = find_product(kDecodeProductSm90, desc, capability);
  if (is_w4(weights.weight)) w4_ = find_product(kW4ProductSm90, desc, capability);
}

void CudaLinearStep::join(CudaTailStep& tail) {
  TERN_CHECK(few_ != nullptr && tail_ == nullptr);
  tail_ = &tail;
  tail.leave_to_product();
}

DecodeProductArgs CudaLinearStep::few_args(int64_t tokens, const CudaStepContext& context) const {
  return {.desc = {.rows = out_.cols, .cols = in_.cols, .weight = weights_.weight},
          .weights = weights_.data,
          .scales = weights_.scales,
          .x = in_.data,
          .x_stride = in_.cols,
          .y = out_.data,
          .y_stride = out_.cols,
          .tokens = tokens,
          .overlap = context.overlap};
}

void CudaLinearStep::run_joined(int64_t tokens, const CudaStepContext& context) const {
  DecodeProductArgs args = few_args(tokens, context);
  args.bias = bias_;
  args.norm = norm_;
  args.residual.squares = products_.squares();
  if (tail_ != nullptr) tail_->complete(context, args);
  check_cuda(few_->run(args, context.stream), "linear");
}

void CudaLinearStep::run_few(int64_t tokens, const CudaStepContext& context) const {
  check_cuda(few_->run(few_args(tokens, context), context.stream), "linear");
}

void CudaLinearStep::run_w4(int64_t tokens, const CudaStepContext& context) const {
  check_cuda(w4_->run({.desc = {.rows = out_.cols, .cols = in_.cols, .weight = weights_.weight},
                       .weights = weights_.data,
                       .x = in_.data,
                       .x_stride = in_.cols,
                       .y = out_.data,
                       .y_stride = out_.cols,
                       .tokens = tokens,
                       .workspace = products_.w4_workspace(),
                       .overlap = context.overlap},
                      context.stream),
             "linear");
}

void CudaLinearStep::run_many(int64_t tokens, const CudaStepContext& context) const {
  const MatmulShape shape = {.rows = out_.cols, .cols = in_.cols, .tokens = tokens, .f32_out = out_.f32};
  const MatmulOperands operands = {.w = weights_.data, .x = in_.data, .y = out_.data, .w_scales = weights_.scales};
  switch (weights_.weight) {
    case DecodeWeight::kBf16:
      return products_.run_bf16(shape, operands, context.stream);
    case DecodeWeight::kFp8Channel:
      return products_.run_fp8(shape, operands, context.overlap, context.stream);
    case DecodeWeight::kFp8Block:
      return products_.run_fp8_blocks(shape, operands, context.overlap, context.stream);
    case DecodeWeight::kW4Block32:
      return products_.run_w4_decoded(shape, operands, false, context.overlap, context.stream);
    case DecodeWeight::kW4Block32Offset:
      return products_.run_w4_decoded(shape, operands, true, context.overlap, context.stream);
    default:
      TERN_CHECK(false, "weights that no step is bound with");
  }
}

void CudaLinearStep::run(const CudaStepContext& context) const {
  const int64_t tokens = context.count(in_.rows);
  if (tokens == 0) return;
  const bool joined = tail_ != nullptr || norm_.squares != nullptr;
  if (joined && tokens <= kDecodeProductMaxTokens) return run_joined(tokens, context);
  if (few_ != nullptr && tokens <= kDecodeProductMaxTokens) {
    run_few(tokens, context);
  } else if (w4_ != nullptr && tokens < kW4DecodedTokens) {
    run_w4(tokens, context);
  } else {
    run_many(tokens, context);
  }
  if (bias_ == nullptr) return;
  check_cuda(
      kGpuBiasSm80.run({.y = out_.data, .bias = bias_, .tokens = tokens, .cols = out_.cols, .overlap = context.overlap},
                       context.stream),
      "bias");
}

std::string CudaLinearStep::kernel() const {
  std::string text = few_ == nullptr ? "" : std::string(few_->name) + " | ";
  if (weights_.weight == DecodeWeight::kFp8Channel) text += std::string(kGpuFp8RowsSm90.name) + " > cublaslt_fp8";
  if (weights_.weight == DecodeWeight::kFp8Block) text += std::string(kGpuFp8UnpackSm90.name) + " > cublaslt";
  if (w4_ != nullptr) text += std::string(w4_->name) + " | ";
  if (is_w4(weights_.weight)) text += std::string(kGpuW4UnpackSm90.name) + " > cublaslt";
  if (weights_.weight == DecodeWeight::kBf16) text += "cublaslt";
  return bias_ == nullptr ? text : text + " > " + kGpuBiasSm80.name;
}

// Of few tokens; more read packed weights once more, decoded.
Cost CudaLinearStep::cost(const BatchShape& shape) const {
  const double count = static_cast<double>(in_.cols) * static_cast<double>(out_.cols);
  const auto tokens = static_cast<double>(count_of(in_, shape));
  const double activations = tokens * static_cast<double>(in_.row_bytes() + out_.row_bytes());
  return {.bytes = static_cast<double>(weights_.bytes) + activations,
          .ops = 2 * count * tokens,
          .activations = activations,
          .arithmetic = Arithmetic::kBf16};
}

}  // namespace tern
