// A paged KV cache of one layer with poison wherever nothing was written, and sequences whose blocks are shuffled in
// it. Owned by a test; one thread.
#pragma once

#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "core/half.h"
#include "kernels/batch_shape.h"
#include "kernels/kv_view.h"
#include "quant/kv_format.h"
#include "quant/kv_int8.h"

namespace tern::test {

inline std::vector<float> random_floats(size_t count, float scale, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

class PagedCache {
 public:
  PagedCache(Format format, int32_t kv_heads, int32_t head_dim, int32_t block_tokens, int32_t blocks, uint64_t seed)
      : element_(static_cast<int32_t>(find_kv_format(format)->element_bytes)) {
    const int64_t part = static_cast<int64_t>(kv_heads) * head_dim * block_tokens * element_;
    const int64_t scales = static_cast<int64_t>(kv_heads) * block_tokens * find_kv_format(format)->scale_bytes;
    const int64_t gap = 192;  // another layer's bytes around ours
    view_ = {.pool = nullptr,
             .block_bytes = 2 * (part + scales) + 5 * gap,
             .k_offset = gap,
             .v_offset = 2 * gap + part,
             .block_tokens = block_tokens,
             .kv_heads = kv_heads,
             .head_dim = head_dim,
             .element_bytes = element_,
             .format = format,
             .k_scale_offset = 3 * gap + 2 * part,
             .v_scale_offset = 4 * gap + 2 * part + scales};
    // All ones is a NaN in each of the formats, and of int8 in the scales.
    pool_.assign(static_cast<size_t>(view_.block_bytes) * static_cast<size_t>(blocks), std::byte{0xff});
    view_.pool = pool_.data();
    free_.resize(static_cast<size_t>(blocks));
    std::iota(free_.begin(), free_.end(), 0);
    std::shuffle(free_.begin(), free_.end(), std::mt19937_64(seed));
  }

  const KvLayerView& view() const { return view_; }
  const std::vector<std::byte>& bytes() const { return pool_; }
  std::vector<int32_t> take_blocks(int64_t tokens) {
    std::vector<int32_t> table;
    for (int64_t at = 0; at < tokens; at += view_.block_tokens) {
      table.push_back(free_.back());
      free_.pop_back();
    }
    return table;
  }
  // key, value: [kv_heads, head_dim]
  void write(const std::vector<int32_t>& table, int64_t position, const float* key, const float* value) {
    for (int64_t h = 0; h < view_.kv_heads; ++h) {
      if (view_.format == kKvInt8) {
        store_codes(table, position, true, h, key + h * view_.head_dim);
        store_codes(table, position, false, h, value + h * view_.head_dim);
        continue;
      }
      for (int64_t d = 0; d < view_.head_dim; ++d) {
        store(at(table, position, true, h, d), key[h * view_.head_dim + d]);
        store(at(table, position, false, h, d), value[h * view_.head_dim + d]);
      }
    }
  }
  float key(const std::vector<int32_t>& table, int64_t position, int64_t head, int64_t dim) const {
    return element(table, position, true, head, dim);
  }
  float value(const std::vector<int32_t>& table, int64_t position, int64_t head, int64_t dim) const {
    return element(table, position, false, head, dim);
  }

 private:
  int64_t at(const std::vector<int32_t>& table, int64_t position, bool key, int64_t head, int64_t dim) const {
    const int64_t tokens = view_.block_tokens, dims = view_.head_dim, slot = position % tokens;
    int64_t index = key ? (head * dims + dim) * tokens + slot : (head * tokens + slot) * dims + dim;
    if (view_.format == kKvInt8) {
      index = key ? (head * dims + dim / 4 * 4) * tokens + slot * 4 + dim % 4
                  : (head * tokens + slot / 4 * 4) * dims + dim * 4 + slot % 4;
    }
    return table[static_cast<size_t>(position / tokens)] * view_.block_bytes + (key ? view_.k_offset : view_.v_offset) +
           index * element_;
  }
  int64_t scale_at(const std::vector<int32_t>& table, int64_t position, bool key, int64_t head) const {
    const int64_t tokens = view_.block_tokens;
    return table[static_cast<size_t>(position / tokens)] * view_.block_bytes +
           (key ? view_.k_scale_offset : view_.v_scale_offset) + (head * tokens + position % tokens) * 4;
  }
  void store_codes(const std::vector<int32_t>& table, int64_t position, bool key, int64_t head, const float* x) {
    std::vector<int8_t> codes(static_cast<size_t>(view_.head_dim));
    const float scale = encode_kv_int8(x, view_.head_dim, codes.data());
    for (int64_t d = 0; d < view_.head_dim; ++d) {
      pool_[static_cast<size_t>(at(table, position, key, head, d))] =
          static_cast<std::byte>(codes[static_cast<size_t>(d)] + (key ? 128 : 0));
    }
    std::memcpy(&pool_[static_cast<size_t>(scale_at(table, position, key, head))], &scale, 4);
  }
  float element(const std::vector<int32_t>& table, int64_t position, bool key, int64_t head, int64_t dim) const {
    const int64_t offset = at(table, position, key, head, dim);
    if (view_.format != kKvInt8) return load(offset);
    float scale;
    std::memcpy(&scale, &pool_[static_cast<size_t>(scale_at(table, position, key, head))], 4);
    const auto code = static_cast<uint8_t>(pool_[static_cast<size_t>(offset)]);
    return scale * static_cast<float>(key ? code - 128 : static_cast<int8_t>(code));
  }
  void store(int64_t offset, float value) {
    if (view_.format == Format::kF32) {
      std::memcpy(&pool_[static_cast<size_t>(offset)], &value, 4);
      return;
    }
    const uint16_t bits = view_.format == Format::kF16 ? f16_from_f32(value) : bf16_from_f32(value);
    std::memcpy(&pool_[static_cast<size_t>(offset)], &bits, 2);
  }
  float load(int64_t offset) const {
    if (view_.format == Format::kF32) {
      float value;
      std::memcpy(&value, &pool_[static_cast<size_t>(offset)], 4);
      return value;
    }
    uint16_t bits;
    std::memcpy(&bits, &pool_[static_cast<size_t>(offset)], 2);
    return view_.format == Format::kF16 ? f32_from_f16(bits) : f32_from_bf16(bits);
  }

  int32_t element_;
  KvLayerView view_;
  std::vector<std::byte> pool_;
  std::vector<int32_t> free_;
};

}  // namespace tern::test
