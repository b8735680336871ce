// A decoding step's attention for tests: random queries and a paged cache whose blocks lie in random order and hold
// what is not a number wherever no key is; the expected result in f64.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "core/fp8.h"
#include "core/half.h"
#include "kernels/attention/decode_attention_plan.h"
#include "support/device_memory.h"

namespace tern::test {

class DecodeAttentionCase {
 public:
  DecodeAttentionCase(const DecodeAttentionDesc& desc, const std::vector<int32_t>& keys, int32_t query_len,
                      uint32_t seed)
      : desc_(desc), query_len_(query_len), random_(seed) {
    for (size_t i = 0; i < keys.size(); ++i) {
      sequences_.push_back({static_cast<int32_t>(i) * query_len, query_len, keys[i] - query_len, nullptr});
      table_stride_ = std::max<int64_t>(table_stride_, (keys[i] + desc.block_tokens - 1) / desc.block_tokens);
    }
    q_ = random_bf16(static_cast<size_t>(tokens() * columns()), 1.0f);
    std::uniform_real_distribution<float> sink(-2, 3);
    for (int32_t i = 0; i < desc.heads; ++i) sinks_.push_back(sink(random_));
    lay_out();
  }

  const DecodeAttentionDesc& desc() const { return desc_; }
  int64_t columns() const { return int64_t{desc_.heads} * desc_.head_dim; }
  int64_t tokens() const { return static_cast<int64_t>(sequences_.size()) * query_len_; }
  const std::vector<SequenceSlice>& sequences() const { return sequences_; }
  const std::vector<uint16_t>& q() const { return q_; }
  const std::vector<std::byte>& pool() const { return pool_; }
  const std::vector<int32_t>& tables() const { return tables_; }
  int64_t table_stride() const { return table_stride_; }
  const std::vector<float>& sinks() const { return sinks_; }  // [heads]
  // Of the pool, without its address.
  DecodeKvView view() const {
    return decode_kv_view(layout(), nullptr, static_cast<int64_t>(pool_.size()) / block_bytes(), block_bytes(), 0);
  }

  // Blocks that lie wholly before what any token of their sequence sees are forgotten: their numbers are none, and the
  // tables name none.
  void forget_what_no_token_sees() {
    for (size_t s = 0; s < sequences_.size(); ++s) {
      for (int64_t block = 0; (block + 1) * desc_.block_tokens <= first_key(sequences_[s].history_len); ++block) {
        int32_t& entry = tables_[s * static_cast<size_t>(table_stride_) + static_cast<size_t>(block)];
        std::fill_n(pool_.begin() + entry * block_bytes(), block_bytes(), std::byte{0xff});
        entry = -1;
      }
    }
  }

  // out[token, head] and the sum of its weights' magnitudes times values, for tolerances.
  void expect(int64_t token, int32_t head, bool sink, std::vector<double>& out, std::vector<double>& magnitude) const {
    const SequenceSlice& sequence = sequences_[static_cast<size_t>(token / query_len_)];
    const int64_t last = sequence.history_len + token % query_len_, first = first_key(last);
    const int32_t kv_head = head / (desc_.heads / desc_.kv_heads);
    const auto dim = static_cast<size_t>(desc_.head_dim);
    std::vector<double> scores(static_cast<size_t>(last + 1));
    std::vector<float> row(dim), query(dim);
    for (size_t d = 0; d < dim; ++d)
      query[d] = f32_from_bf16(q_[static_cast<size_t>(token * columns() + head * desc_.head_dim) + d]);
    for (int64_t key = first; key <= last; ++key) {
      read(token / query_len_, key, kv_head, false, row);
      double sum = 0;
      for (size_t d = 0; d < dim; ++d) sum += static_cast<double>(row[d]) * static_cast<double>(query[d]);
      sum *= static_cast<double>(desc_.scale);
      const auto cap = static_cast<double>(desc_.soft_cap);
      scores[static_cast<size_t>(key)] = cap > 0 ? cap * std::tanh(sum / cap) : sum;
    }
    const double max = *std::max_element(scores.begin() + first, scores.end());
    double total = sink ? std::exp(static_cast<double>(sinks_[static_cast<size_t>(head)]) - max) : 0;
    out.assign(dim, 0);
    magnitude.assign(dim, 0);
    for (int64_t key = first; key <= last; ++key) {
      const double weight = std::exp(scores[static_cast<size_t>(key)] - max);
      total += weight;
      read(token / query_len_, key, kv_head, true, row);
      for (size_t d = 0; d < dim; ++d) {
        out[d] += weight * static_cast<double>(row[d]);
        magnitude[d] += weight * static_cast<double>(std::fabs(row[d]));
      }
    }
    for (size_t d = 0; d < dim; ++d) out[d] /= total, magnitude[d] /= total;
  }

 private:
  int64_t element_bytes() const { return desc_.kv == DecodeKv::kFp8 ? 1 : 2; }
  DecodeKvLayout layout() const {
    return decode_kv_layout(desc_.kv, desc_.kv_heads, desc_.head_dim, desc_.block_tokens);
  }
  int64_t block_bytes() const { return layout().bytes(); }
  int64_t first_key(int64_t position) const {
    return desc_.window > 0 ? std::max<int64_t>(position - desc_.window + 1, 0) : 0;
  }

  std::vector<uint16_t> random_bf16(size_t count, float spread) {
    std::normal_distribution<float> normal(0, spread);
    std::vector<uint16_t> values(count);
    for (uint16_t& bits : values) bits = bf16_from_f32(normal(random_));
    return values;
  }
  int64_t block_at(int64_t sequence, int64_t key) const {
    return tables_[static_cast<size_t>(sequence * table_stride_ + key / desc_.block_tokens)] * block_bytes();
  }
  int64_t row_of(int64_t key, int32_t kv_head) const { return kv_head * desc_.block_tokens + key % desc_.block_tokens; }
  int64_t offset(int64_t sequence, int64_t key, int32_t kv_head, bool value) const {
    return block_at(sequence, key) + (value ? view().v_offset : view().k_offset) +
           row_of(key, kv_head) * desc_.head_dim * element_bytes();
  }
  int64_t scale_offset(int64_t sequence, int64_t key, int32_t kv_head, bool value) const {
    return block_at(sequence, key) + (value ? view().v_scale_offset : view().k_scale_offset) + row_of(key, kv_head) * 4;
  }

  void lay_out() {
    std::vector<int32_t> order(sequences_.size() * static_cast<size_t>(table_stride_) + 3);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random_);
    tables_.assign(sequences_.size() * static_cast<size_t>(table_stride_), 1 << 30);
    pool_.assign(order.size() * static_cast<size_t>(block_bytes()), std::byte{0xff});
    // One block of numbers, taken from another place for each key: enough for a cache, and quick.
    std::vector<std::byte> numbers(1 << 16);
    std::normal_distribution<float> normal;
    for (size_t i = 0; i < numbers.size(); i += static_cast<size_t>(element_bytes())) {
      const uint16_t bits = bf16_from_f32(normal(random_));
      if (element_bytes() == 2) std::memcpy(&numbers[i], &bits, 2);
      if (element_bytes() == 1) numbers[i] = std::byte{e4m3_from_f32(f32_from_bf16(bits))};
    }
    const auto row_bytes = static_cast<size_t>(desc_.head_dim * element_bytes());
    size_t next = 0;
    for (size_t s = 0; s < sequences_.size(); ++s) {
      const int64_t keys = sequences_[s].history_len + query_len_;
      for (int64_t key = 0; key < keys; ++key) {
        int32_t& entry =
            tables_[s * static_cast<size_t>(table_stride_) + static_cast<size_t>(key / desc_.block_tokens)];
        if (key % desc_.block_tokens == 0) entry = order[next++];
        for (int32_t head = 0; head < desc_.kv_heads; ++head) {
          for (const bool value : {false, true}) {
            const size_t from = random_() % (numbers.size() - row_bytes) / 2 * 2;
            std::memcpy(&pool_[static_cast<size_t>(offset(static_cast<int64_t>(s), key, head, value))], &numbers[from],
                        row_bytes);
            if (element_bytes() == 2) continue;
            const float scale = 0.5f + static_cast<float>(random_() % 1024) / 1024;
            std::memcpy(&pool_[static_cast<size_t>(scale_offset(static_cast<int64_t>(s), key, head, value))], &scale,
                        4);
          }
        }
      }
    }
  }

  void read(int64_t sequence, int64_t key, int32_t kv_head, bool value, std::vector<float>& row) const {
    const std::byte* from = &pool_[static_cast<size_t>(offset(sequence, key, kv_head, value))];
    float scale = 1;
    if (element_bytes() == 1)
      std::memcpy(&scale, &pool_[static_cast<size_t>(scale_offset(sequence, key, kv_head, value))], 4);
    for (size_t d = 0; d < row.size(); ++d) {
      if (element_bytes() == 1) {
        row[d] = f32_from_e4m3(static_cast<uint8_t>(from[d])) * scale;
      } else {
        uint16_t bits;
        std::memcpy(&bits, from + 2 * d, 2);
        row[d] = f32_from_bf16(bits);
      }
    }
  }

  DecodeAttentionDesc desc_;
  int32_t query_len_;
  std::mt19937 random_;
  std::vector<SequenceSlice> sequences_;
  int64_t table_stride_ = 0;
  std::vector<uint16_t> q_;
  std::vector<std::byte> pool_;
  std::vector<int32_t> tables_;
  std::vector<float> sinks_;
};

}  // namespace tern::test
