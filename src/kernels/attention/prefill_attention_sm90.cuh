// The body of prefill attention (prefill_attention.h) as a device function of one thread block, which takes its units
// from the plan one after the other. The form is that of FlashAttention 3 (Shah et al. 2024, arXiv 2407.08608).
//
// One warp fetches queries, keys and values, and runs ahead of the computing by what the rings hold, into the next unit
// too. Each other warpgroup computes a strip. Overlap within a warpgroup: the scores of a block and the output of the
// block before it are one batch of products, and the softmax of the former runs beside the latter. Overlap between
// warpgroups: they start their batches in turn, so that one's softmax runs beside the other's products.
#pragma once

#include <cstdint>

#include "kernels/attention/prefill_attention_fetch_sm90.cuh"
#include "kernels/attention/prefill_attention_softmax_sm90.cuh"
#include "kernels/wgmma_sm90.cuh"

namespace tern::prefill_attention {

constexpr int kTurnBarrier = 1;  // one a consumer
constexpr int kOwnBarrier = 5;

template <class S>
struct Compute {
  const Params& p;
  uint8_t* memory;
  uint32_t shared;
  int consumer, thread, warp, lane;  // the last three within the warpgroup
  Rings<S> rings;
  Mask mask;
  Softmax softmax;
  float out[S::kDim / 2];
  uint32_t weights[kPrefillKeys / 4];  // of the block whose output is not yet taken

  __device__ Compute(const Params& params, uint8_t* at)
      : p(params),
        memory(at),
        shared(ptx::shared_address(at)),
        consumer(static_cast<int>(threadIdx.x) / kWarpgroup - 1),
        thread(static_cast<int>(threadIdx.x) % kWarpgroup),
        warp(thread / 32),
        lane(thread % 32),
        rings(shared) {}

  __device__ uint32_t strip_address() const {
    return shared + (rings.queries.stage * S::kConsumers + consumer) * S::kStripBytes;
  }

  // ---- turns ----
  __device__ void await_turn() const { ptx::sync(kTurnBarrier + consumer, 2 * kWarpgroup); }
  __device__ void end_turn() const { ptx::arrive(kTurnBarrier + (consumer + 1) % S::kConsumers, 2 * kWarpgroup); }

  // ---- products ----
  template <int Keys>
  __device__ void start_scores(float (&scores)[Keys / 2]) {
    const uint64_t a = ptx::matrix_descriptor(strip_address(), 0, 8 * kLine);
    const uint64_t b =
        ptx::matrix_descriptor(shared + S::kKeysAt + rings.keys.stage * S::kStageBytes, 0, 8 * kLine);
#pragma unroll
    for (int i = 0; i < S::kDim / 16; ++i) {
      const int half = i / 4, in_line = i % 4 * 32;
      ptx::multiply_lines(scores, a + (half * S::kStripHalf + in_line) / 16, b + (half * S::kStageHalf + in_line) / 16,
                          i > 0);
    }
    ptx::products_commit();
  }
  template <int Keys>
  __device__ void start_output(bool add) {
    const uint64_t b = ptx::matrix_descriptor(shared + S::kValuesAt + rings.values.stage * S::kStageBytes,
                                              S::kStageHalf, 8 * kLine);
#pragma unroll
    for (int i = 0; i < Keys / 16; ++i) ptx::multiply_weights(out, weights + 4 * i, b + i * (16 * kLine / 16), add || i > 0);
    ptx::products_commit();
  }

  template <int Keys>
  __device__ float2 weigh(float (&scores)[Keys / 2], int block) {
    if (mask.cuts(block * kPrefillKeys, Keys)) mask.apply(block * kPrefillKeys, lane, scores);
    return softmax.take(scores, p.scale);
  }

  // ---- the steps of a unit ----
  template <int Keys>
  __device__ void first(int block) {
    float scores[Keys / 2];
    rings.keys.wait_full();
    ptx::products_begin();
    start_scores<Keys>(scores);
    ptx::products_wait<0>();
    ptx::settle(scores);
    rings.keys.release(lane);
    weigh<Keys>(scores, block);
    pack(scores, weights);
  }

  // `Before`: keys of the block before, whose output is taken here.
  template <int Before>
  __device__ void next(int block, bool add) {
    float scores[kPrefillKeys / 2];
    rings.keys.wait_full();
    await_turn();
    ptx::settle(weights);
    ptx::settle(out);
    ptx::products_begin();
    start_scores<kPrefillKeys>(scores);
    rings.values.wait_full();
    start_output<Before>(add);
    end_turn();
    ptx::products_wait<1>();
    ptx::settle(scores);
    rings.keys.release(lane);
    const float2 shrink = weigh<kPrefillKeys>(scores, block);
    ptx::products_wait<0>();
    ptx::settle(out);
    ptx::settle(weights);
    rings.values.release(lane);
    pack(scores, weights);
    multiply_rows(out, shrink.x, shrink.y);
  }

  template <int Before>
  __device__ void last(bool add) {
    rings.values.wait_full();
    ptx::settle(weights);
    ptx::settle(out);
    ptx::products_begin();
    start_output<Before>(add);
    ptx::products_wait<0>();
    ptx::settle(out);
    rings.values.release(lane);
  }

  // Values behind the last key may be anything, and a weight of zero does not make nothing of a NaN. All warpgroups do
  // this, none waits for another's.
  __device__ void clear_values(const PrefillUnit& unit, int keys) {
    rings.values.wait_full();
    const int used = keys - (unit.end_page - 1) * kPrefillPage;  // of the last page, which is the top block's last
    uint8_t* stage = memory + S::kValuesAt + rings.values.stage * S::kStageBytes;
    for (int index = 0; index < 2; ++index) {
      const int page = max((unit.end_page - 1) / 2 * 2 + index, unit.first_page);
      if (page != unit.end_page - 1) continue;
      for (int i = thread; i < (kPrefillPage - used) * 8 * S::kHalves; i += kWarpgroup) {
        const int line = index * kPrefillPage + used + i / 8 / S::kHalves, half = i / 8 % S::kHalves;
        *reinterpret_cast<uint4*>(stage + half * S::kStageHalf + line * kLine + i % 8 * 16) = make_uint4(0, 0, 0, 0);
      }
    }
    ptx::copy_engine_fence();
    ptx::sync(kOwnBarrier + consumer, kWarpgroup);
  }

  // Through the warp's own rows of the strip, whose queries are no longer wanted, so that a row is written in one piece.
  __device__ void write(const PrefillUnit& unit, int strip) {
    const float first = softmax.reciprocal(0), second = softmax.reciprocal(1);
    multiply_rows(out, first, second);
    const uint32_t rows = strip_address() + warp * (16 * kLine);
    const int row = lane % 16;
#pragma unroll
    for (int i = 0; i < S::kDim / 16; ++i) {
      const int piece = i % 4 * 2 + lane / 16;
      ptx::store_matrices(rows + i / 4 * S::kStripHalf + row * kLine + (piece ^ row % 8) * 16,
                          make_uint4(ptx::bf16_pair(out[8 * i], out[8 * i + 1]),
                                     ptx::bf16_pair(out[8 * i + 2], out[8 * i + 3]),
                                     ptx::bf16_pair(out[8 * i + 4], out[8 * i + 5]),
                                     ptx::bf16_pair(out[8 * i + 6], out[8 * i + 7])));
    }
    __syncwarp();
    constexpr int kPieces = S::kDim / 8;  // of a row
    const int token0 = strip / p.group * kPrefillStrip + warp * 16;
    const int column = (unit.kv_head * p.group + strip % p.group) * S::kDim;
#pragma unroll
    for (int i = 0; i < 16 * kPieces / 32; ++i) {
      const int r = i * (32 / kPieces) + lane / kPieces, piece = lane % kPieces;
      const uint4 v = ptx::load_shared_16(rows + piece / 8 * S::kStripHalf + r * kLine + (piece % 8 ^ r % 8) * 16);
      if (token0 + r >= unit.query_len) continue;
      *reinterpret_cast<uint4*>(p.out + (unit.query_begin + token0 + r) * p.out_stride + column + piece * 8) = v;
    }
    ptx::copy_engine_fence();
    rings.queries.release(lane);
  }

  __device__ void unit(const PrefillUnit& unit) {
    const int strip = unit.first_strip + consumer, keys = unit.history + unit.query_len;
    const int position = unit.history + strip / p.group * kPrefillStrip;
    mask = {position + warp * 16 + lane / 4, position, p.window};
    softmax = {};
    const int top = (unit.end_page - 1) / 2, bottom = unit.first_page / 2;
    const bool odd = unit.end_page % 2 != 0;
    rings.queries.wait_full();
    if (odd) {
      first<kPrefillPage>(top);
    } else {
      first<kPrefillKeys>(top);
    }
    if (unit.end_page * kPrefillPage > keys) clear_values(unit, keys);
    int block = top - 1;
    if (odd && block >= bottom) next<kPrefillPage>(block--, false);
    for (; block >= bottom; --block) next<kPrefillKeys>(block, block + 1 < top);
    if (odd && top == bottom) {
      last<kPrefillPage>(false);
    } else {
      last<kPrefillKeys>(top > bottom);
    }
    write(unit, strip);
  }

  __device__ void run() {
    if (consumer == S::kConsumers - 1) end_turn();  // the first to begin
    PrefillUnit next = load_unit(p, 0);
    for (int round = 1; next.end_page > 0; ++round) {
      const PrefillUnit now = next;
      next = load_unit(p, round);
      unit(now);
    }
  }
};

template <class S>
__device__ inline void run_block(const Params& p, uint8_t* shared) {
  const uint32_t address = ptx::shared_address(shared);
  if (threadIdx.x == 0) {
    const Rings<S> rings(address);
    rings.queries.init(4 * S::kConsumers);
    rings.keys.init(4 * S::kConsumers);
    rings.values.init(4 * S::kConsumers);
    ptx::barrier_init_fence();
  }
  __syncthreads();
  if (threadIdx.x < kWarpgroup) {
    ptx::give_registers<S::kFetchRegisters>();
    if (threadIdx.x < 32) Fetch<S>(p, address).run();
  } else {
    ptx::take_registers<S::kComputeRegisters>();
    Compute<S>(p, shared).run();
  }
}

}  // namespace tern::prefill_attention
