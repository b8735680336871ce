// 4-bit weights as bf16: a thread a 16-byte piece of codes, 32 weights of two rows.
#include <cuda_fp16.h>

#include "kernels/launch.cuh"
#include "kernels/linear/w4_block32.h"
#include "kernels/linear/w4_unpack_gpu.h"
#include "kernels/vector_sm80.cuh"

namespace tern {
namespace {

constexpr int kThreads = 256, kPieces = static_cast<int>(w4::kCodeBytes / 16);  // 64 pieces a block

template <bool Offsets>
constexpr int64_t kStride = w4::block32_stride(Offsets);

template <bool Offsets>
__global__ void __launch_bounds__(kThreads) w4_unpack_kernel(GpuW4UnpackArgs args) {
  launch::after_previous_launch();
  const int64_t groups = (args.cols + w4::kGroupCols - 1) / w4::kGroupCols;
  const int64_t index = static_cast<int64_t>(blockIdx.x) * (kThreads / kPieces) + threadIdx.x / kPieces;
  if (index >= (args.rows + w4::kTileRows - 1) / w4::kTileRows * groups) return;
  const int piece = threadIdx.x % kPieces, half = piece / 32, lane = piece % 32;
  const auto* block = static_cast<const uint8_t*>(args.weights) + index * kStride<Offsets>;
  const uint4 codes = *reinterpret_cast<const uint4*>(block + 16 * piece);
  const uint32_t words[4] = {codes.x, codes.y, codes.z, codes.w};
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const int row_in_tile = lane / 4 + 8 * (j % 2), step = 2 * half + j / 2;
    const int64_t row = index / groups * w4::kTileRows + row_in_tile;
    const int64_t col = index % groups * w4::kGroupCols + 32 * step + 2 * (lane % 4);
    if (row >= args.rows || col >= args.cols) continue;
    const auto* scales = reinterpret_cast<const __half*>(block + w4::kCodeBytes + step * w4::kScaleBytes);
    const int number = 2 * (row_in_tile % 8) + row_in_tile / 8;
    const float scale = __half2float(scales[number]);
    const float offset = Offsets ? __half2float(scales[w4::kSteps * w4::kScaleBytes / 2 + number]) : 0.0f;
    const auto weight = [&](uint32_t code) {
      return fmaf(scale, static_cast<float>(static_cast<int>(code) - w4::kZeroCode), offset);
    };
    auto* out = static_cast<uint16_t*>(args.out) + row * args.cols + col;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      *reinterpret_cast<uint32_t*>(out + 8 * i) =
          gpu::pair_of(weight(words[j] >> 4 * i & 15u), weight(words[j] >> (4 * i + 16) & 15u));
    }
  }
}

int run(const GpuW4UnpackArgs& args, void* stream) {
  if (args.cols % 32 != 0) return cudaErrorInvalidValue;
  constexpr int64_t kBlocks = kThreads / kPieces;
  const int64_t count = (w4::tiles(args.rows) * w4::groups(args.cols) + kBlocks - 1) / kBlocks;
  return launch::run(args.offsets ? w4_unpack_kernel<true> : w4_unpack_kernel<false>,
                     dim3(static_cast<unsigned>(count)), dim3(kThreads), args.overlap, stream, args);
}

}  // namespace

const GpuImpl<GpuW4UnpackArgs> kGpuW4UnpackSm90 = {"w4_unpack", run};

}  // namespace tern
