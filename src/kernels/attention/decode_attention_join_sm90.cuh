// Joining the softmax shares of chunks along the tree of decode_attention.h, in shared memory within a unit, through
// the workspace between units (Milakov & Gimelshein 2018, arXiv 1805.02867, for the rule of joining two).
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/attention/decode_attention_tile_sm90.cuh"

namespace tern::decode_attention {

constexpr int kComputeBarrier = 1;  // of the warps that compute

// A node's share of the softmax, one thread's part: columns 2t and 2t + 1 of each tile of rows, two dimensions.
template <class S>
struct Node {
  float out[S::kTiles][4];  // not yet divided by sum
  float max[S::kTiles][2], sum[S::kTiles][2];
};

// The share of no key.
template <class S>
__device__ inline void make_empty(Node<S>& node) {
#pragma unroll
  for (int n = 0; n < S::kTiles; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) node.out[n][i] = 0;
#pragma unroll
    for (int j = 0; j < 2; ++j) node.max[n][j] = -INFINITY, node.sum[n][j] = 0;
  }
}

// node = left, then node. A share without keys (sum 0, max -inf) changes no bit of the other.
template <class S>
__device__ inline void join(const Node<S>& left, Node<S>& node) {
#pragma unroll
  for (int n = 0; n < S::kTiles; ++n) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const float max = fmaxf(left.max[n][j], node.max[n][j]);
      const float base = max == -INFINITY ? 0 : max;
      const float a = ptx::exp2(left.max[n][j] - base), b = ptx::exp2(node.max[n][j] - base);
      node.max[n][j] = max;
      node.sum[n][j] = __fmaf_rn(left.sum[n][j], a, node.sum[n][j] * b);
      node.out[n][j] = __fmaf_rn(left.out[n][j], a, node.out[n][j] * b);
      node.out[n][j + 2] = __fmaf_rn(left.out[n][j + 2], a, node.out[n][j + 2] * b);
    }
  }
}

// Where nodes are kept, in shared memory or in the workspace: outputs [node, tile, thread], and (max, sum, max, sum) of
// two rows [node, tile, 4], which all lanes with the same rows hold alike and lanes 0 to 3 of the first warp write.
template <class S>
struct Nodes {
  float4* outs;
  float4* sums;

  __device__ void store(int node, const Node<S>& value, int thread) const {
#pragma unroll
    for (int n = 0; n < S::kTiles; ++n) {
      const int at = node * S::kTiles + n;
      outs[static_cast<int64_t>(at) * S::kThreads + thread] =
          make_float4(value.out[n][0], value.out[n][1], value.out[n][2], value.out[n][3]);
      if (thread < 4)
        sums[at * 4 + thread] = make_float4(value.max[n][0], value.sum[n][0], value.max[n][1], value.sum[n][1]);
    }
  }
  __device__ static void unpack(Node<S>& value, int n, float4 out, float4 sums) {
    value.out[n][0] = out.x, value.out[n][1] = out.y, value.out[n][2] = out.z, value.out[n][3] = out.w;
    value.max[n][0] = sums.x, value.sum[n][0] = sums.y, value.max[n][1] = sums.z, value.sum[n][1] = sums.w;
  }
  // Of this block's own.
  __device__ void load(int node, Node<S>& value, int thread) const {
#pragma unroll
    for (int n = 0; n < S::kTiles; ++n) {
      const int at = node * S::kTiles + n;
      unpack(value, n, outs[at * S::kThreads + thread], sums[at * 4 + thread % 4]);
    }
  }
  // Of other blocks: not from this multiprocessor's cache.
  __device__ void load_shared(int node, Node<S>& value, int thread) const {
#pragma unroll
    for (int n = 0; n < S::kTiles; ++n) {
      const int64_t at = static_cast<int64_t>(node) * S::kTiles + n;
      unpack(value, n, __ldcg(&outs[at * S::kThreads + thread]), __ldcg(&sums[at * 4 + thread % 4]));
    }
  }
};

// Node `index` of a row of equals has been computed: joins it with those before it that it completes. `stack` keeps one
// node a level. Behind the last one, what stays is joined too, and `node` is the whole. Those before `first` are empty
// and were not computed.
template <class S>
__device__ inline void push(const Nodes<S>& stack, int index, int first, bool last, Node<S>& node, int thread) {
  int level = 0;
  for (; last ? index >> level != 0 : (index >> level & 1) != 0; ++level) {
    if ((index >> level & 1) == 0 || index >> level << level <= first) continue;
    Node<S> left;
    stack.load(level, left, thread);
    join<S>(left, node);
  }
  if (!last) stack.store(level, node, thread);
}

// Whether this block is the last of `nodes` to come here with its node stored. By all threads that compute.
template <class S>
__device__ inline bool arrives_last(int32_t* counter, int nodes, int* shared_flag, int thread) {
  ptx::sync(kComputeBarrier, S::kThreads);
  if (thread == 0) {
    const bool last = ptx::add_acquire_release(counter, 1) == nodes - 1;
    if (last) *counter = 0;  // for the next launch
    *shared_flag = last;
  }
  ptx::sync(kComputeBarrier, S::kThreads);
  return *shared_flag != 0;
}

// The whole of nodes `first` to `nodes` - 1, of which the first is in slot `slot`: subtrees of kSubtree nodes in
// registers, those on the stack.
template <class S>
__device__ inline void join_units(const Nodes<S>& stored, const Nodes<S>& stack, int slot, int first, int nodes,
                                  Node<S>& node, int thread) {
  constexpr int kSubtree = 4 / S::kTiles;  // what the registers hold
  for (int begin = first / kSubtree * kSubtree; begin < nodes; begin += kSubtree) {
    Node<S> loaded[kSubtree];
#pragma unroll
    for (int i = 0; i < kSubtree; ++i) {
      if (begin + i < first) {
        make_empty<S>(loaded[i]);
      } else if (begin + i < nodes) {
        stored.load_shared(slot + begin + i - first, loaded[i], thread);
      }
    }
#pragma unroll
    for (int step = 1; step < kSubtree; step *= 2) {
#pragma unroll
      for (int i = 0; i < kSubtree; i += 2 * step) {
        if (begin + i + step >= nodes) continue;
        join<S>(loaded[i], loaded[i + step]);
        loaded[i] = loaded[i + step];
      }
    }
    node = loaded[0];
    if (nodes <= begin + kSubtree && begin <= first) return;  // the only one
    ptx::sync(kComputeBarrier, S::kThreads);                  // the stack's sums are written by one warp for all
    push<S>(stack, begin / kSubtree, first / kSubtree, begin + kSubtree >= nodes, node, thread);
  }
}

}  // namespace tern::decode_attention
