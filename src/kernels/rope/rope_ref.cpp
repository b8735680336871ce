// The meaning of the rope family: rotation, then the store into the cache, as plain loops.
#include <cmath>
#include <cstring>

#include "core/half.h"
#include "kernels/isa.h"
#include "kernels/rope/rope_impl.h"
#include "quant/kv_int8.h"

namespace tern {
namespace {

// x: [head_dim]; cos, sin: [rope_dims / 2] of the token's position.
void rotate(const RopeKvArgs& args, const float* x, const float* cos, const float* sin, float* out) {
  const int32_t half = args.rope_dims / 2;
  for (int32_t i = 0; i < half; ++i) {
    const int32_t a = args.style == RopeStyle::kInterleaved ? 2 * i : i;
    const int32_t b = args.style == RopeStyle::kInterleaved ? 2 * i + 1 : i + half;
    const float xa = x[a], xb = x[b];
    out[a] = xa * cos[i] - xb * sin[i];
    out[b] = xa * sin[i] + xb * cos[i];
  }
  for (int32_t i = args.rope_dims; i < args.head_dim; ++i) out[i] = x[i];
}

void store_element(Format format, std::byte* at, int64_t index, float value) {
  if (format == Format::kF32) {
    std::memcpy(at + 4 * index, &value, 4);
    return;
  }
  const uint16_t bits = format == Format::kF16 ? f16_from_f32(value) : bf16_from_f32(value);
  std::memcpy(at + 2 * index, &bits, 2);
}

// Where code d of a head's key, or value, of one token lies in an int8 cache, counted from the part's beginning.
int64_t int8_key_at(const KvLayerView& kv, int64_t head, int64_t slot, int64_t d) {
  return ((head * kv.head_dim / 4 + d / 4) * kv.block_tokens + slot) * 4 + d % 4;
}
int64_t int8_value_at(const KvLayerView& kv, int64_t head, int64_t slot, int64_t d) {
  return ((head * kv.block_tokens / 4 + slot / 4) * kv.head_dim + d) * 4 + slot % 4;
}

void store_int8(const KvLayerView& kv, std::byte* block, int64_t head, int64_t slot, bool key, const float* x) {
  int8_t codes[kMaxHeadDim];
  const float scale = encode_kv_int8(x, kv.head_dim, codes);
  for (int64_t d = 0; d < kv.head_dim; ++d) {
    if (key) {
      block[kv.k_offset + int8_key_at(kv, head, slot, d)] = static_cast<std::byte>(codes[d] + 128);
    } else {
      block[kv.v_offset + int8_value_at(kv, head, slot, d)] = static_cast<std::byte>(codes[d]);
    }
  }
  const int64_t scales = key ? kv.k_scale_offset : kv.v_scale_offset;
  std::memcpy(block + scales + (head * kv.block_tokens + slot) * 4, &scale, 4);
}

void store_key(const KvLayerView& kv, std::byte* block, int64_t head, int64_t slot, const float* key) {
  if (kv.format == kKvInt8) return store_int8(kv, block, head, slot, true, key);
  for (int64_t d = 0; d < kv.head_dim; ++d) {
    store_element(kv.format, block + kv.k_offset, (head * kv.head_dim + d) * kv.block_tokens + slot, key[d]);
  }
}

void store_value(const KvLayerView& kv, std::byte* block, int64_t head, int64_t slot, const float* value) {
  if (kv.format == kKvInt8) return store_int8(kv, block, head, slot, false, value);
  for (int64_t d = 0; d < kv.head_dim; ++d) {
    store_element(kv.format, block + kv.v_offset, (head * kv.block_tokens + slot) * kv.head_dim + d, value[d]);
  }
}

bool supports(Format format) {
  return format == Format::kF32 || format == Format::kF16 || format == Format::kBF16 || format == kKvInt8;
}

void run(const RopeKvArgs& args, const RopeRun& run, int32_t begin, int32_t end) {
  const int32_t half = args.rope_dims / 2;
  for (int32_t i = 0; i < run.count; ++i) {
    const float* cos = args.cos + (run.position + i) * half;
    const float* sin = args.sin + (run.position + i) * half;
    for (int32_t column = begin; column < end; ++column) {
      const float* x = rope_head(args, run.token + i, column);
      if (column < args.heads) {
        rotate(args, x, cos, sin, args.q_out + ((run.token + i) * args.heads + column) * args.head_dim);
      } else if (column < args.heads + args.kv_heads) {
        float key[kMaxHeadDim];
        rotate(args, x, cos, sin, key);
        store_key(args.kv, run.block, column - args.heads, run.slot + i, key);
      } else {
        store_value(args.kv, run.block, column - args.heads - args.kv_heads, run.slot + i, x);
      }
    }
  }
}

const RopeKvImpl kRows[] = {{"ref", kIsaNone, supports, run}};

}  // namespace

const RopeKvImplSpan kRopeKvRef = {kRows, 1};

}  // namespace tern
