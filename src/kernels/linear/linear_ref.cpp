// The meaning of the linear family, in f32: every format through its reference decoder, one product of rows at a time.
// Layout "file": the bytes of the file as they are. The sum over k is 16 partial sums (k mod 16), added pairwise at the
// end; a compiler for any processor turns that into vectors without being allowed to reorder anything.
#include <cstring>

#include "kernels/isa.h"
#include "kernels/linear/linear_impl.h"
#include "quant/format.h"

namespace tern {
namespace {

constexpr int kLanes = 16;
// A decoded row lies on the stack; 256 KiB is far below any thread's, and 65,536 beyond any known model.
constexpr int64_t kMaxCols = 65536;

bool supports(const LinearDesc& desc) {
  return desc.cols > 0 && desc.cols <= kMaxCols && desc.cols % format_info(desc.format).block_elements == 0;
}

uint64_t packed_bytes(const LinearDesc&) { return 0; }

uint64_t prepared_bytes(int64_t cols) { return (static_cast<uint64_t>(cols) * sizeof(float) + 63) / 64 * 64; }

void prepare(const float* x, int64_t cols, std::byte* prepared) {
  std::memcpy(prepared, x, static_cast<size_t>(cols) * sizeof(float));
}

void read_row(const LinearDesc& desc, const std::byte* weights, int64_t row, float* out) {
  const FormatInfo& format = format_info(desc.format);
  const int64_t blocks = desc.cols / format.block_elements;
  format.decode(weights + row * blocks * format.block_bytes, blocks, out);
}

float dot(const float* a, const float* b, int64_t count) {
  float sums[kLanes] = {};
  int64_t k = 0;
  for (; k + kLanes <= count; k += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) sums[lane] += a[k + lane] * b[k + lane];
  }
  for (int lane = 0; k < count; ++k, ++lane) sums[lane] += a[k] * b[k];
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  }
  return sums[0];
}

void run(const LinearJob& job, int64_t begin, int64_t end) {
  alignas(64) float weights[kMaxCols];
  for (int64_t row = begin; row < end; ++row) {
    read_row(job.desc, job.weights, row, weights);
    const float bias = job.bias == nullptr ? 0.0f : job.bias[row];
    for (int64_t t = 0; t < job.tokens; ++t) {
      const auto* x = reinterpret_cast<const float*>(job.prepared + t * job.prepared_stride);
      job.out[t * job.out_stride + row] = dot(x, weights, job.desc.cols) + bias;
    }
  }
}

Cost cost(const LinearDesc& desc, int64_t tokens) {
  const FormatInfo& format = format_info(desc.format);
  const double weights = static_cast<double>(desc.rows) * static_cast<double>(desc.cols);
  return {.bytes = weights / format.block_elements * format.block_bytes +
                   static_cast<double>(tokens * (desc.rows + desc.cols)) * sizeof(float),
          .ops = 2 * weights * static_cast<double>(tokens),
          .arithmetic = Arithmetic::kF32};
}

constexpr LinearImpl kRows[] = {{.name = "ref",
                                 .layout = "file",
                                 .needs = kIsaNone,
                                 .panel_rows = 1,
                                 .supports = supports,
                                 .packed_bytes = packed_bytes,
                                 .pack = nullptr,
                                 .prepared_bytes = prepared_bytes,
                                 .prepare = prepare,
                                 .run = run,
                                 .read_row = read_row,
                                 .cost = cost}};

}  // namespace

const LinearImplSpan kLinearRef = {kRows, 1};

}  // namespace tern
