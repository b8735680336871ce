// The vector body of the rope family, for a register type V (kernels/vector_*.h). Included by ISA files only.
//
// Vectors run over dimensions. Keys of a run of tokens are rotated into a small buffer first and then transposed a
// register square at a time, so that the cache's rows (one dimension of 16 keys) are written whole.
#pragma once

#include "kernels/rope/rope_impl.h"
#include "kernels/vector_element.h"
#include "quant/kv_int8.h"

namespace tern {
namespace {

inline __attribute__((always_inline)) int64_t lesser(int64_t a, int64_t b) { return a < b ? a : b; }

// x, out: [head_dim]; cos, sin: [rope_dims / 2] of the token's position.
template <class V>
void rotate(const RopeKvArgs& args, const float* x, const float* cos, const float* sin, float* out) {
  constexpr int64_t kW = V::kWidth;
  const int64_t dims = args.rope_dims, half = dims / 2;
  if (args.style == RopeStyle::kInterleaved) {
    for (int64_t i = 0; i < dims; i += kW) {
      const int64_t count = lesser(kW, dims - i);
      const typename V::Reg a = V::load(x + i, count);
      const typename V::Reg c = V::load_pairs(cos + i / 2, count / 2), s = V::load_pairs(sin + i / 2, count / 2);
      V::store(out + i, V::fma_odd(a, c, V::mul(V::swap_pairs(a), s)), count);
    }
  } else {
    for (int64_t i = 0; i < half; i += kW) {
      const int64_t count = lesser(kW, half - i);
      const typename V::Reg a = V::load(x + i, count), b = V::load(x + half + i, count);
      const typename V::Reg c = V::load(cos + i, count), s = V::load(sin + i, count);
      V::store(out + i, V::fms(a, c, V::mul(b, s)), count);
      V::store(out + half + i, V::fma(a, s, V::mul(b, c)), count);
    }
  }
  for (int64_t i = dims; i < args.head_dim; i += kW) {
    const int64_t count = lesser(kW, args.head_dim - i);
    V::store(out + i, V::load(x + i, count), count);
  }
}

// keys: [count, kMaxHeadDim] to a head's [head_dim, block_tokens], at slots [slot, slot + count).
template <class V, class E>
void store_keys(const KvLayerView& kv, const float* keys, int64_t count, E* head, int64_t slot) {
  constexpr int64_t kW = V::kWidth;
  const int64_t dims = kv.head_dim, stride = kv.block_tokens;
  if (count == 1) {  // a decode: one element of every row
    for (int64_t d = 0; d < dims; d += kW) {
      E lanes[V::kWidth];
      V::store(lanes, V::load(keys + d), kW);
      const int64_t n = lesser(kW, dims - d);
      for (int64_t i = 0; i < n; ++i) head[(d + i) * stride + slot] = lanes[i];
    }
    return;
  }
  for (int64_t t = 0; t < count; t += kW) {
    const int64_t tokens = lesser(kW, count - t);
    for (int64_t d = 0; d < dims; d += kW) {
      typename V::Reg square[V::kWidth];
#pragma GCC unroll 16
      for (int64_t i = 0; i < kW; ++i) square[i] = V::load(keys + (t + i) * kMaxHeadDim + d);
      V::transpose(square);
      const int64_t n = lesser(kW, dims - d);
      if (n == kW && tokens == kW) {
#pragma GCC unroll 16
        for (int64_t i = 0; i < kW; ++i) V::store(head + (d + i) * stride + slot + t, square[i], kW);
      } else {
        for (int64_t i = 0; i < n; ++i) V::store(head + (d + i) * stride + slot + t, square[i], tokens);
      }
    }
  }
}

template <class V, class E>
void rope_columns(const RopeKvArgs& args, const RopeRun& run, int32_t begin, int32_t end) {
  constexpr int64_t kW = V::kWidth;
  const KvLayerView& kv = args.kv;
  const int64_t dims = args.head_dim, half = args.rope_dims / 2;
  // Rows past the run's tokens are transposed too, never stored; dimensions past head_dim likewise.
  alignas(64) float keys[kRopeRun * kMaxHeadDim];
  for (int32_t column = begin; column < end; ++column) {
    for (int64_t i = 0; i < run.count; ++i) {
      const float* x = rope_head(args, run.token + i, column);
      const float* cos = args.cos + (run.position + i) * half;
      const float* sin = args.sin + (run.position + i) * half;
      if (column < args.heads) {
        rotate<V>(args, x, cos, sin, args.q_out + ((run.token + i) * args.heads + column) * dims);
      } else if (column < args.heads + args.kv_heads) {
        rotate<V>(args, x, cos, sin, keys + i * kMaxHeadDim);
      } else {
        const int64_t head = column - args.heads - args.kv_heads;
        E* value = reinterpret_cast<E*>(run.block + kv.v_offset) + (head * kv.block_tokens + run.slot + i) * dims;
        for (int64_t d = 0; d < dims; d += kW) {
          const int64_t count = lesser(kW, dims - d);
          V::store(value + d, V::load(x + d, count), count);
        }
      }
    }
    if (column >= args.heads && column < args.heads + args.kv_heads) {
      E* head = reinterpret_cast<E*>(run.block + kv.k_offset) + (column - args.heads) * dims * kv.block_tokens;
      store_keys<V>(kv, keys, run.count, head, run.slot);
    }
  }
}

// ---- the int8 cache (quant/kv_int8.h)
// ------------------------------------------------------------------------------------------------

// codes: [kMaxHeadDim], of which the first `dims` count. Returns the scale.
template <class V>
float encode_int8(const float* x, int64_t dims, int8_t* codes) {
  constexpr int64_t kW = V::kWidth;
  typename V::Reg most = V::zero(), poison = V::zero();
  for (int64_t d = 0; d < dims; d += kW) {
    const typename V::Reg part = V::load(x + d, lesser(kW, dims - d));
    most = V::max(most, V::abs(part));
    poison = V::fma(part, V::zero(), poison);  // 0, or NaN
  }
  const float largest = V::reduce_max(most), poisoned = V::reduce_add(poison);
  const bool usable = largest >= kKvInt8Tiny && poisoned == 0;
  const typename V::Reg inverse = V::set1(usable ? 127.0f / largest : 0.0f);
  for (int64_t d = 0; d < dims; d += kW) {
    const typename V::Reg part = usable ? V::load(x + d, lesser(kW, dims - d)) : V::zero();
    V::store(codes + d, V::mul(part, inverse));
  }
  return (largest >= kKvInt8Tiny ? largest / 127.0f : 0.0f) + poisoned;
}

// One token of one head. A token's codes are bytes of its own: tokens of one group may be written by two workers.
void store_int8_key(const KvLayerView& kv, const RopeRun& run, int64_t head, int64_t slot, const int8_t* codes,
                    float scale) {
  std::byte* out = run.block + kv.k_offset + head * kv.head_dim * kv.block_tokens + slot * 4;
  for (int64_t d = 0; d < kv.head_dim; d += 4) {
    uint32_t four;
    __builtin_memcpy(&four, codes + d, 4);
    four ^= 0x80808080u;
    __builtin_memcpy(out + d * kv.block_tokens, &four, 4);
  }
  __builtin_memcpy(run.block + kv.k_scale_offset + (head * kv.block_tokens + slot) * 4, &scale, 4);
}

void store_int8_value(const KvLayerView& kv, const RopeRun& run, int64_t head, int64_t slot, const int8_t* codes,
                      float scale) {
  std::byte* out = run.block + kv.v_offset + (head * kv.block_tokens + slot / 4 * 4) * kv.head_dim + slot % 4;
  for (int64_t d = 0; d < kv.head_dim; ++d) out[d * 4] = static_cast<std::byte>(codes[d]);
  __builtin_memcpy(run.block + kv.v_scale_offset + (head * kv.block_tokens + slot) * 4, &scale, 4);
}

template <class V>
void rope_int8(const RopeKvArgs& args, const RopeRun& run, int32_t begin, int32_t end) {
  const int64_t dims = args.head_dim, half = args.rope_dims / 2;
  alignas(64) float key[kMaxHeadDim];
  alignas(64) int8_t codes[kMaxHeadDim];
  for (int32_t column = begin; column < end; ++column) {
    for (int64_t i = 0; i < run.count; ++i) {
      const float* x = rope_head(args, run.token + i, column);
      const float* cos = args.cos + (run.position + i) * half;
      const float* sin = args.sin + (run.position + i) * half;
      if (column < args.heads) {
        rotate<V>(args, x, cos, sin, args.q_out + ((run.token + i) * args.heads + column) * dims);
      } else if (column < args.heads + args.kv_heads) {
        rotate<V>(args, x, cos, sin, key);
        const float scale = encode_int8<V>(key, dims, codes);
        store_int8_key(args.kv, run, column - args.heads, run.slot + i, codes, scale);
      } else {
        const float scale = encode_int8<V>(x, dims, codes);
        store_int8_value(args.kv, run, column - args.heads - args.kv_heads, run.slot + i, codes, scale);
      }
    }
  }
}

bool rope_supports(Format format) {
  return format == Format::kF32 || format == Format::kF16 || format == Format::kBF16 || format == kKvInt8;
}

template <class V>
void rope_run(const RopeKvArgs& args, const RopeRun& run, int32_t begin, int32_t end) {
  if (args.kv.format == Format::kF16) {
    rope_columns<V, ElementF16>(args, run, begin, end);
  } else if (args.kv.format == Format::kBF16) {
    rope_columns<V, ElementBF16>(args, run, begin, end);
  } else if (args.kv.format == kKvInt8) {
    rope_int8<V>(args, run, begin, end);
  } else {
    rope_columns<V, float>(args, run, begin, end);
  }
}

}  // namespace
}  // namespace tern
