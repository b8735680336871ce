// The meaning of the attention family: scores, softmax and weighted sum of values of one row over one chunk of keys, as
// plain loops, results in f32, sums over keys and dimensions in f64; partials of chunks merged as in Milakov &
// Gimelshein 2018, "Online normalizer calculation".
#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/half.h"
#include "kernels/attention/attention_impl.h"
#include "kernels/isa.h"
#include "quant/kv_int8.h"

namespace tern {
namespace {

float load_element(Format format, const std::byte* at, int64_t index) {
  if (format == Format::kF32) {
    float value;
    std::memcpy(&value, at + 4 * index, 4);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, at + 2 * index, 2);
  return format == Format::kF16 ? f32_from_f16(bits) : f32_from_bf16(bits);
}

// Element d of a key, or value, of one token and head, wherever its format puts it (kernels/kv_view.h).
float key_at(const KvLayerView& kv, const std::byte* block, int64_t head, int64_t slot, int64_t d) {
  if (kv.format != kKvInt8) {
    return load_element(kv.format, block + kv.k_offset, (head * kv.head_dim + d) * kv.block_tokens + slot);
  }
  const int64_t at = ((head * kv.head_dim / 4 + d / 4) * kv.block_tokens + slot) * 4 + d % 4;
  const float scale = load_element(Format::kF32, block + kv.k_scale_offset, head * kv.block_tokens + slot);
  return scale * static_cast<float>(std::to_integer<int>(block[kv.k_offset + at]) - 128);
}
float value_at(const KvLayerView& kv, const std::byte* block, int64_t head, int64_t slot, int64_t d) {
  if (kv.format != kKvInt8) {
    return load_element(kv.format, block + kv.v_offset, (head * kv.block_tokens + slot) * kv.head_dim + d);
  }
  const int64_t at = ((head * kv.block_tokens / 4 + slot / 4) * kv.head_dim + d) * 4 + slot % 4;
  const float scale = load_element(Format::kF32, block + kv.v_scale_offset, head * kv.block_tokens + slot);
  return scale * static_cast<float>(static_cast<int8_t>(block[kv.v_offset + at]));
}

const std::byte* block_of(const AttentionBlock& block, int64_t position) {
  return block.kv.pool + block.block_table[position / block.kv.block_tokens] * block.kv.block_bytes;
}

float score(const AttentionBlock& block, const float* q, int64_t position) {
  const KvLayerView& kv = block.kv;
  const std::byte* at = block_of(block, position);
  const int64_t slot = position % kv.block_tokens;
  double sum = 0;
  for (int64_t d = 0; d < kv.head_dim; ++d) {
    sum += static_cast<double>(q[d]) * static_cast<double>(key_at(kv, at, block.kv_head, slot, d));
  }
  const auto scaled = static_cast<float>(sum * static_cast<double>(block.desc.scale));
  const float cap = block.desc.soft_cap;
  return cap > 0 ? cap * std::tanh(scaled / cap) : scaled;
}

void add_value(const AttentionBlock& block, int64_t position, double weight, double* out) {
  const KvLayerView& kv = block.kv;
  const std::byte* at = block_of(block, position);
  const int64_t slot = position % kv.block_tokens;
  for (int64_t d = 0; d < kv.head_dim; ++d) {
    out[d] += weight * static_cast<double>(value_at(kv, at, block.kv_head, slot, d));
  }
}

bool supports(const AttentionDesc& desc, Format format) {
  if (format == kKvInt8) return desc.head_dim <= kMaxHeadDim && desc.head_dim % 4 == 0;
  return desc.head_dim <= kMaxHeadDim && (format == Format::kF32 || format == Format::kF16 || format == Format::kBF16);
}

uint64_t scratch_bytes(const AttentionDesc&) { return 0; }

void begin(const AttentionBlock&) {}

void chunk(const AttentionBlock& block, int64_t chunk, const AttentionPartial& partial) {
  const int64_t dim = block.desc.head_dim;
  const int64_t group = block.desc.heads / block.desc.kv_heads;
  for (int64_t row = block.row_begin; row < block.row_end; ++row) {
    const int64_t r = row - block.row_begin;
    const int64_t token = row / group;
    const int64_t head = block.kv_head * group + row % group;
    const int64_t position = block.history + token;
    const int64_t first = std::max(first_visible_key(block.desc, position), chunk * kAttentionChunk);
    const int64_t end = std::min(position + 1, (chunk + 1) * kAttentionChunk);
    float* out = partial.out + r * dim;
    std::fill(out, out + dim, 0.0f);
    partial.sum[r] = 0;
    partial.max[r] = -INFINITY;
    if (first >= end) continue;
    float scores[kAttentionChunk];
    const float* q = block.q + token * block.q_stride + head * dim;
    for (int64_t p = first; p < end; ++p) scores[p - first] = score(block, q, p);
    const float max = *std::max_element(scores, scores + (end - first));
    double sum = 0;
    double weighted[kMaxHeadDim] = {};
    for (int64_t p = first; p < end; ++p) {
      const double weight = std::exp(static_cast<double>(scores[p - first]) - static_cast<double>(max));
      sum += weight;
      add_value(block, p, weight, weighted);
    }
    partial.max[r] = max;
    partial.sum[r] = static_cast<float>(sum);
    for (int64_t d = 0; d < dim; ++d) out[d] = static_cast<float>(weighted[d]);
  }
}

void merge(const AttentionPartial& into, const AttentionPartial& from, int64_t begin, int64_t end, int64_t dim) {
  for (int64_t r = begin; r < end; ++r) {
    if (from.sum[r] == 0) continue;
    float* out = into.out + r * dim;
    const float* other = from.out + r * dim;
    if (into.sum[r] == 0) {
      into.max[r] = from.max[r];
      into.sum[r] = from.sum[r];
      std::copy(other, other + dim, out);
      continue;
    }
    const float max = std::max(into.max[r], from.max[r]);
    const float a = std::exp(into.max[r] - max), b = std::exp(from.max[r] - max);
    into.max[r] = max;
    into.sum[r] = into.sum[r] * a + from.sum[r] * b;
    for (int64_t d = 0; d < dim; ++d) out[d] = out[d] * a + other[d] * b;
  }
}

void finish(const AttentionBlock& block, const AttentionPartial& partial, int64_t begin, int64_t end) {
  const int64_t dim = block.desc.head_dim;
  const int64_t group = block.desc.heads / block.desc.kv_heads;
  for (int64_t r = begin; r < end; ++r) {
    const int64_t row = block.row_begin + r;
    const int64_t head = block.kv_head * group + row % group;
    float* out = block.out + ((row / group) * block.desc.heads + head) * dim;
    float sum = partial.sum[r];
    if (block.desc.sinks != nullptr) sum += std::exp(block.desc.sinks[head] - partial.max[r]);
    for (int64_t d = 0; d < dim; ++d) out[d] = partial.out[r * dim + d] / sum;
  }
}

const AttentionImpl kRows[] = {{"ref", kIsaNone, kIsaNone, Arithmetic::kF32, kAttentionRows, kAttentionLoadRows,
                                supports, scratch_bytes, begin, chunk, merge, finish}};

}  // namespace

const AttentionImplSpan kAttentionRef = {kRows, 1};

}  // namespace tern
