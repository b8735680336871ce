// Products of one expert's rows with a tile of its visits, by matrix instructions of 16 x 8 x 16: a warp takes 16 rows
// (of a gated product 16 of each half) and up to 32 visits. Operands come from memory in the order of the fragments:
// the columns of a step of 32 are dealt out so that each lane reads 16 bytes of a row, of weights and of x alike.
#include "kernels/activation/activate.cuh"
#include "kernels/launch.cuh"
#include "kernels/moe/moe_gpu.h"
#include "kernels/vector_sm80.cuh"

namespace tern {
namespace {

constexpr int kWarp = 32, kWarps = 4, kRows = 16, kColumns = 8, kStep = 32;

// Of a lane: rows group and group + 8; columns of a step 8 * place to 8 * place + 7.
struct Lane {
  int group, place;
};

__device__ Lane lane_of() {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  return {lane / 4, lane % 4};
}

__device__ uint4 read_or_zero(const uint16_t* row, int64_t column, int64_t cols) {
  return row != nullptr && column < cols ? *reinterpret_cast<const uint4*>(row + column) : make_uint4(0, 0, 0, 0);
}

__device__ void multiply(float (&sum)[4], const uint4& a_low, const uint4& a_high, const uint4& b) {
  const auto step = [&](uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  };
  step(a_low.x, a_high.x, a_low.y, a_high.y, b.x, b.y);
  step(a_low.z, a_high.z, a_low.w, a_high.w, b.z, b.w);
}

// Parts: 2 for gated products. Groups: of 8 visits.
template <int Parts, int Groups>
struct Sums {
  float of[Parts][Groups][4] = {};
};

template <int Parts, int Groups>
__device__ Sums<Parts, Groups> multiply_tile(const GpuExpertProductArgs& args, const ExpertTile& tile, int64_t row) {
  const Lane lane = lane_of();
  const auto* weights =
      static_cast<const uint16_t*>(args.weights) + static_cast<int64_t>(tile.expert) * Parts * args.rows * args.cols;
  const uint16_t* a[Parts][2];
#pragma unroll
  for (int p = 0; p < Parts; ++p) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int64_t r = row + lane.group + h * kColumns;
      a[p][h] = r < args.rows ? weights + (p * args.rows + r) * args.cols : nullptr;
    }
  }
  const uint16_t* x[Groups];
#pragma unroll
  for (int g = 0; g < Groups; ++g) {
    const int visit = g * kColumns + lane.group;
    x[g] = visit < tile.count
               ? static_cast<const uint16_t*>(args.x) + args.order[tile.begin + visit] / args.used * args.cols
               : nullptr;
  }
  Sums<Parts, Groups> sums;
#pragma unroll 4
  for (int64_t k = lane.place * 8; k < (args.cols + kStep - 1) / kStep * kStep; k += kStep) {
    uint4 b[Groups];
#pragma unroll
    for (int g = 0; g < Groups; ++g) b[g] = read_or_zero(x[g], k, args.cols);
#pragma unroll
    for (int p = 0; p < Parts; ++p) {
      const uint4 low = read_or_zero(a[p][0], k, args.cols), high = read_or_zero(a[p][1], k, args.cols);
#pragma unroll
      for (int g = 0; g < Groups; ++g) multiply(sums.of[p][g], low, high, b[g]);
    }
  }
  return sums;
}

template <int Parts, int Groups>
__device__ void run_tile(const GpuExpertProductArgs& args, const ExpertTile& tile, int64_t row) {
  const Sums<Parts, Groups> sums = multiply_tile<Parts, Groups>(args, tile, row);
  const Lane lane = lane_of();
#pragma unroll
  for (int g = 0; g < Groups; ++g) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      // Of an accumulator: rows group and group + 8, columns 2 * place and 2 * place + 1.
      const int64_t r = row + lane.group + i / 2 * kColumns;
      const int visit = g * kColumns + 2 * lane.place + i % 2;
      if (r >= args.rows || visit >= tile.count) continue;
      float value = sums.of[0][g][i];
      if constexpr (Parts == 2) value = gpu::activate(args.activation, value) * sums.of[1][g][i];
      static_cast<uint16_t*>(args.y)[static_cast<int64_t>(args.order[tile.begin + visit]) * args.rows + r] =
          gpu::to_bf16(value);
    }
  }
}

template <int Parts>
__global__ void __launch_bounds__(kWarp* kWarps) expert_product_kernel(GpuExpertProductArgs args) {
  launch::after_previous_launch();
  const ExpertTile tile = args.tiles[blockIdx.x];
  const int64_t row = (static_cast<int64_t>(blockIdx.y) * kWarps + threadIdx.x / kWarp) * kRows;
  if (tile.count == 0 || row >= args.rows) return;
  if (tile.count <= kColumns) {
    run_tile<Parts, 1>(args, tile, row);
  } else if (tile.count <= 2 * kColumns) {
    run_tile<Parts, 2>(args, tile, row);
  } else {
    run_tile<Parts, kGpuExpertTile / kColumns>(args, tile, row);
  }
}

int run(const GpuExpertProductArgs& args, void* stream) {
  if (args.cols % gpu::kVector != 0) return cudaErrorInvalidValue;
  const dim3 grid(static_cast<unsigned>(args.tile_count),
                  static_cast<unsigned>((args.rows + kRows * kWarps - 1) / (kRows * kWarps)));
  const auto with = [&](auto kernel) {
    return launch::run(kernel, grid, dim3(kWarp * kWarps), args.overlap, stream, args);
  };
  return args.gated ? with(expert_product_kernel<2>) : with(expert_product_kernel<1>);
}

}  // namespace

const GpuImpl<GpuExpertProductArgs> kGpuExpertProductSm80 = {"sm80", run};

}  // namespace tern
