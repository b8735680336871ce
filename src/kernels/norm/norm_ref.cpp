// The meaning of the norm family: the residual sum, then the norm, as plain loops.
#include <cmath>

#include "kernels/isa.h"
#include "kernels/norm/norm_impl.h"

namespace tern {
namespace {

void add_row(const float* x, const float* delta, float* sum, int64_t cols) {
  for (int64_t i = 0; i < cols; ++i) sum[i] = x[i] + delta[i];
}

void norm_row(const float* x, const float* weight, float eps, float* out, int64_t cols) {
  float squares = 0;
  for (int64_t i = 0; i < cols; ++i) squares += x[i] * x[i];
  const float scale = 1.0f / std::sqrt(squares / static_cast<float>(cols) + eps);
  for (int64_t i = 0; i < cols; ++i) out[i] = x[i] * scale * weight[i];
}

void layer_norm_row(const NormArgs& args, const float* x, float* out) {
  const auto count = static_cast<float>(args.cols);
  float sum = 0, squares = 0;
  for (int64_t i = 0; i < args.cols; ++i) sum += x[i];
  const float mean = sum / count;
  for (int64_t i = 0; i < args.cols; ++i) squares += (x[i] - mean) * (x[i] - mean);
  const float scale = 1.0f / std::sqrt(squares / count + args.eps);
  for (int64_t i = 0; i < args.cols; ++i) {
    out[i] = (x[i] - mean) * scale * args.weight[i] + (args.bias != nullptr ? args.bias[i] : 0.0f);
  }
}

void run(const NormArgs& args, int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t) {
    const float* x = args.x + t * args.cols;
    if (args.delta != nullptr) {
      float* sum = args.sum + t * args.cols;
      add_row(x, args.delta + t * args.cols, sum, args.cols);
      x = sum;
    }
    float* out = args.out + t * args.cols;
    args.centered ? layer_norm_row(args, x, out) : norm_row(x, args.weight, args.eps, out, args.cols);
  }
}

const NormImpl kRows[] = {{"ref", kIsaNone, run}};

}  // namespace

const NormImplSpan kNormRef = {kRows, 1};

}  // namespace tern
