// Eight elements at a time: a 16-byte access of bf16. Device code only.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

namespace tern::gpu {

inline constexpr int kVector = 8;

__device__ inline float low_of(uint32_t pair) { return __uint_as_float(pair << 16); }
__device__ inline float high_of(uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); }

__device__ inline float to_float(uint16_t bits) { return __uint_as_float(static_cast<uint32_t>(bits) << 16); }
__device__ inline uint16_t to_bf16(float value) { return __bfloat16_as_ushort(__float2bfloat16_rn(value)); }

__device__ inline void load(const uint16_t* from, float (&values)[kVector]) {
  const uint4 bits = *reinterpret_cast<const uint4*>(from);
  values[0] = low_of(bits.x), values[1] = high_of(bits.x);
  values[2] = low_of(bits.y), values[3] = high_of(bits.y);
  values[4] = low_of(bits.z), values[5] = high_of(bits.z);
  values[6] = low_of(bits.w), values[7] = high_of(bits.w);
}

__device__ inline void load(const float* from, float (&values)[kVector]) {
  const float4 a = reinterpret_cast<const float4*>(from)[0], b = reinterpret_cast<const float4*>(from)[1];
  values[0] = a.x, values[1] = a.y, values[2] = a.z, values[3] = a.w;
  values[4] = b.x, values[5] = b.y, values[6] = b.z, values[7] = b.w;
}

__device__ inline uint32_t pair_of(float low, float high) {
  return static_cast<uint32_t>(to_bf16(low)) | static_cast<uint32_t>(to_bf16(high)) << 16;
}

__device__ inline void store(uint16_t* to, const float (&values)[kVector]) {
  *reinterpret_cast<uint4*>(to) = make_uint4(pair_of(values[0], values[1]), pair_of(values[2], values[3]),
                                             pair_of(values[4], values[5]), pair_of(values[6], values[7]));
}

__device__ inline void store(float* to, const float (&values)[kVector]) {
  reinterpret_cast<float4*>(to)[0] = make_float4(values[0], values[1], values[2], values[3]);
  reinterpret_cast<float4*>(to)[1] = make_float4(values[4], values[5], values[6], values[7]);
}

// The sum over a warp, in every lane.
__device__ inline float warp_sum(float value) {
  for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(0xffffffffu, value, distance);
  return value;
}

__device__ inline float warp_max(float value) {
  for (int distance = 16; distance > 0; distance /= 2) {
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
  }
  return value;
}

}  // namespace tern::gpu
