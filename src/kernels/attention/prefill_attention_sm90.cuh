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

constexpr float kLog2E = 1.44269504f;
constexpr int kTurnBarrier = 1;    // one a consumer
constexpr int kCommonBarrier = 5;  // of all that compute

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

  // Where the queries' ring stands.
  __device__ const PrefillUnit& unit() const {
    return reinterpret_cast<const PrefillUnit*>(memory + S::kUnitsAt)[rings.queries.stage];
  }
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
    const uint64_t b = ptx::matrix_descriptor(shared + S::kKeysAt + rings.keys.stage * S::kStageBytes, 0, 8 * kLine);
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
    const uint64_t b =
        ptx::matrix_descriptor(shared + S::kValuesAt + rings.values.stage * S::kStageBytes, S::kStageHalf, 8 * kLine);
#pragma unroll
    for (int i = 0; i < Keys / 16; ++i)
      ptx::multiply_weights(out, weights + 4 * i, b + i * (16 * kLine / 16), add || i > 0);
    ptx::products_commit();
  }

  template <int Keys>
  __device__ float2 weigh(float (&scores)[Keys / 2], int block) {
    if constexpr (S::kCapped) {
#pragma unroll
      for (float& score : scores) score = ptx::tanh(score * p.cap_scale);
    }
    if (mask.cuts(block * kPrefillKeys, Keys)) mask.apply(block * kPrefillKeys, lane, scores);
    return softmax.take(scores, p.scale);
  }

  // ---- steps ----
  // The first block of the first unit: scores alone.
  template <int Now>
  __device__ void first(int block) {
    float scores[Now / 2];
    rings.keys.wait_full();
    ptx::products_begin();
    start_scores<Now>(scores);
    ptx::products_wait<0>();
    ptx::settle(scores);
    rings.keys.release(lane);
    rings.keys.advance();
    weigh<Now>(scores, block);
    pack(scores, weights);
  }

  // Scores of `block` beside the output of the block before, which has `Before` keys; `add` to that of blocks before
  // it. Returns by what the output shrinks where both are of one unit.
  template <int Before, int Now>
  __device__ float2 step(int block, bool add) {
    float scores[Now / 2];
    rings.keys.wait_full();
    await_turn();
    ptx::settle(weights);
    ptx::settle(out);
    ptx::products_begin();
    start_scores<Now>(scores);
    rings.values.wait_full();
    ptx::products_begin();
    start_output<Before>(add);
    end_turn();
    ptx::products_wait<1>();
    ptx::settle(scores);
    rings.keys.release(lane);
    rings.keys.advance();
    const float2 shrink = weigh<Now>(scores, block);
    ptx::products_wait<0>();
    ptx::settle(out);
    ptx::settle(weights);
    rings.values.release(lane);
    rings.values.advance();
    pack(scores, weights);
    return shrink;
  }

  // The last block of the last unit: output alone.
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
    rings.values.advance();
  }

  // Values behind the last key may be anything, and a weight of zero does not make nothing of a NaN. The warpgroups
  // clear them together before any of them multiplies.
  __device__ void clear_values(const PrefillUnit& unit, int keys) {
    constexpr int kThreads = S::kConsumers * kWarpgroup;
    rings.values.wait_full();
    const int used = keys - (unit.end_page - 1) * kPrefillPage;  // of the last page, which is the top block's last
    uint8_t* stage = memory + S::kValuesAt + rings.values.stage * S::kStageBytes;
    for (int index = 0; index < 2; ++index) {
      const int page = max((unit.end_page - 1) / 2 * 2 + index, unit.first_page);
      if (page != unit.end_page - 1) continue;
      for (int i = consumer * kWarpgroup + thread; i < (kPrefillPage - used) * 8 * S::kHalves; i += kThreads) {
        const int line = index * kPrefillPage + used + i / 8 / S::kHalves, half = i / 8 % S::kHalves;
        *reinterpret_cast<uint4*>(stage + half * S::kStageHalf + line * kLine + i % 8 * 16) = make_uint4(0, 0, 0, 0);
      }
    }
    ptx::copy_engine_fence();
    ptx::sync(kCommonBarrier, kThreads);
  }

  // `done`: the softmax of the strip at `address`. Through the warp's own rows of it, whose queries are no longer
  // wanted, so that a row is written in one piece.
  __device__ void write(const PrefillUnit& unit, const Softmax& done, uint32_t address) {
    const int strip = unit.first_strip + consumer;
    const int head = unit.kv_head * p.group + strip % p.group;
    const float sink = p.sinks == nullptr ? -INFINITY : p.sinks[head] * kLog2E;
    const float first = done.reciprocal(0, p.scale, sink), second = done.reciprocal(1, p.scale, sink);
    multiply_rows(out, first, second);
    const uint32_t rows = address + warp * (16 * kLine);
    const int row = lane % 16;
#pragma unroll
    for (int i = 0; i < S::kDim / 16; ++i) {
      const int piece = i % 4 * 2 + lane / 16;
      ptx::store_matrices(
          rows + i / 4 * S::kStripHalf + row * kLine + (piece ^ row % 8) * 16,
          make_uint4(ptx::bf16_pair(out[8 * i], out[8 * i + 1]), ptx::bf16_pair(out[8 * i + 2], out[8 * i + 3]),
                     ptx::bf16_pair(out[8 * i + 4], out[8 * i + 5]), ptx::bf16_pair(out[8 * i + 6], out[8 * i + 7])));
    }
    __syncwarp();
    constexpr int kPieces = S::kDim / 8;  // of a row
    const int token0 = strip / p.group * kPrefillStrip + warp * 16;
    const int column = head * S::kDim;
#pragma unroll
    for (int i = 0; i < 16 * kPieces / 32; ++i) {
      const int r = i * (32 / kPieces) + lane / kPieces, piece = lane % kPieces;
      const uint4 v = ptx::load_shared_16(rows + piece / 8 * S::kStripHalf + r * kLine + (piece % 8 ^ r % 8) * 16);
      if (token0 + r >= unit.query_len) continue;
      *reinterpret_cast<uint4*>(p.out + (unit.query_begin + token0 + r) * p.out_stride + column + piece * 8) = v;
    }
    ptx::copy_engine_fence();
  }

  __device__ void enter() {
    const int position = unit().history + (unit().first_strip + consumer) / p.group * kPrefillStrip;
    mask = {position + warp * 16 + lane / 4, position, p.window};
    softmax = {};
  }
  // The first block of a unit is its last one; if that has one page only it is odd.
  __device__ bool odd() const { return unit().end_page % 2 != 0; }
  __device__ int top() const { return (unit().end_page - 1) / 2; }
  __device__ int bottom() const { return unit().first_page / 2; }

  // All blocks of a unit but the first, whose weights are there, and the output of all but the last.
  __device__ void blocks() {
    const int keys = unit().history + unit().query_len, last = bottom();
    if (!S::kFp8 && unit().end_page * kPrefillPage > keys) clear_values(unit(), keys);
    int block = top() - 1;
    bool add = false;
    if (odd() && block >= last) {
      const float2 shrink = step<kPrefillPage, kPrefillKeys>(block--, false);
      multiply_rows(out, shrink.x, shrink.y);
      add = true;
    }
    for (; block >= last; --block) {
      const float2 shrink = step<kPrefillKeys, kPrefillKeys>(block, add);
      multiply_rows(out, shrink.x, shrink.y);
      add = true;
    }
  }

  // The output of a unit's last block, beside the first scores of the next unit if there is one. Returns whether.
  template <int Before>
  __device__ bool cross(bool add) {
    const Softmax done = softmax;
    const Ring<S::kQueryBuffers> old = rings.queries;
    const uint32_t address = strip_address();
    const PrefillUnit& from = unit();
    rings.queries.advance();
    rings.queries.wait_full();
    const bool more = unit().end_page > 0;
    if (!more) {
      last<Before>(add);
    } else {
      enter();
      if (odd()) {
        step<Before, kPrefillPage>(top(), add);
      } else {
        step<Before, kPrefillKeys>(top(), add);
      }
    }
    write(from, done, address);
    old.release_own();  // each: what was read with ordinary loads is then seen to be read, by tools too
    return more;
  }

  __device__ void run() {
    rings.queries.wait_full();
    if (unit().end_page == 0) return;
    if (consumer == S::kConsumers - 1) end_turn();  // the first to begin
    enter();
    if (odd()) {
      first<kPrefillPage>(top());
    } else {
      first<kPrefillKeys>(top());
    }
    for (bool more = true; more;) {
      blocks();
      const bool half = odd() && top() == bottom();  // the block whose output is not yet taken
      more = half ? cross<kPrefillPage>(false) : cross<kPrefillKeys>(top() > bottom());
    }
  }
};

template <class S>
__device__ inline void run_block(const Params& p, uint8_t* shared) {
  const uint32_t address = ptx::shared_address(shared);
  if (threadIdx.x == 0) {
    const Rings<S> rings(address);
    rings.queries.init(1, kWarpgroup * S::kConsumers);
    rings.keys.init(S::kFetchWarps, 4 * S::kConsumers);
    rings.values.init(S::kFetchWarps, 4 * S::kConsumers);
    ptx::barrier_init_fence();
  }
  __syncthreads();
  if (threadIdx.x < kWarpgroup) {
    ptx::give_registers<S::kFetchRegisters>();
    if (threadIdx.x < 32 * S::kFetchWarps) Fetch<S>(p, shared).run();
  } else {
    ptx::take_registers<S::kComputeRegisters>();
    Compute<S>(p, shared).run();
  }
}

}  // namespace tern::prefill_attention
