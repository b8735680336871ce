// A step's prompts for tests: random queries and a paged cache whose blocks lie in random order and hold what is not a
// number wherever no key is; the expected result in f64.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "core/fp8.h"
#include "core/half.h"
#include "kernels/attention/prefill_attention_plan.h"
#include "support/device_memory.h"

namespace tern::test {

// Query tokens and history of a sequence.
struct Prompt {
  int32_t tokens, history;
};

class PrefillAttentionCase {
 public:
  PrefillAttentionCase(const PrefillAttentionDesc& desc, const std::vector<Prompt>& prompts, uint32_t seed)
      : desc_(desc), random_(seed) {
    int32_t begin = 0;
    for (const Prompt& prompt : prompts) {
      sequences_.push_back({begin, prompt.tokens, prompt.history, nullptr});
      begin += prompt.tokens;
      const int64_t blocks = (int64_t{prompt.tokens} + prompt.history + desc.block_tokens - 1) / desc.block_tokens;
      table_stride_ = std::max(table_stride_, blocks);
    }
    std::normal_distribution<float> normal;
    q_.resize(static_cast<size_t>(begin * columns()));
    for (uint16_t& bits : q_) bits = bf16_from_f32(normal(random_));
    std::uniform_real_distribution<float> sink(-2, 3);
    for (int32_t i = 0; i < desc.heads; ++i) sinks_.push_back(sink(random_));
    lay_out();
  }

  const PrefillAttentionDesc& desc() const { return desc_; }
  int64_t columns() const { return int64_t{desc_.heads} * desc_.head_dim; }
  int64_t tokens() const { return static_cast<int64_t>(q_.size()) / columns(); }
  const std::vector<SequenceSlice>& sequences() const { return sequences_; }
  BatchShape batch() const {
    return {sequences_.data(), static_cast<int32_t>(sequences_.size()), static_cast<int32_t>(tokens()), 0};
  }
  const std::vector<uint16_t>& q() const { return q_; }
  const std::vector<float>& sinks() const { return sinks_; }  // [heads]
  const std::vector<uint8_t>& pool() const { return pool_; }
  const std::vector<int32_t>& tables() const { return tables_; }
  int64_t table_stride() const { return table_stride_; }
  // Of the pool, without its address.
  DecodeKvView view() const {
    const DecodeKvLayout layout = decode_kv_layout(desc_.kv, desc_.kv_heads, desc_.head_dim, desc_.block_tokens);
    return decode_kv_view(layout, nullptr, static_cast<int64_t>(pool_.size()) / layout.bytes(), layout.bytes(), 0);
  }
  // Entries of the tables for what is behind every window point nowhere.
  void forget_what_no_token_sees() {
    for (size_t s = 0; s < sequences_.size(); ++s) {
      const int32_t first = std::max(sequences_[s].history_len + 1 - desc_.window, 0) / desc_.block_tokens;
      for (int32_t i = 0; i < first; ++i)
        tables_[s * static_cast<size_t>(table_stride_) + static_cast<size_t>(i)] = 1 << 30;
    }
  }

  // out[token of sequence, head] and the sum of its weights times values' magnitudes, for tolerances. What an FP8 cache
  // holds is rounded to bf16 with its scale, as prefill_attention.h says.
  void expect(size_t sequence, int64_t token, int32_t head, bool sink, std::vector<double>& out,
              std::vector<double>& magnitude) const {
    const SequenceSlice& slice = sequences_[sequence];
    const int64_t last = slice.history_len + token;
    const int64_t begin = desc_.window > 0 ? std::max<int64_t>(last + 1 - desc_.window, 0) : 0;
    const int32_t kv_head = head / (desc_.heads / desc_.kv_heads);
    const auto dim = static_cast<size_t>(desc_.head_dim);
    const uint16_t* query = &q_[static_cast<size_t>((slice.query_begin + token) * columns() + head * desc_.head_dim)];
    std::vector<double> scores;
    for (int64_t key = begin; key <= last; ++key) {
      const uint16_t* row = &numbers_[at(sequence, key, kv_head, false)];
      double sum = 0;
      for (size_t d = 0; d < dim; ++d) sum += double{f32_from_bf16(row[d])} * double{f32_from_bf16(query[d])};
      sum *= double{desc_.scale};
      const auto cap = double{desc_.soft_cap};
      scores.push_back(cap > 0 ? cap * std::tanh(sum / cap) : sum);
    }
    const double max = *std::max_element(scores.begin(), scores.end());
    double total = sink ? std::exp(double{sinks_[static_cast<size_t>(head)]} - max) : 0;
    out.assign(dim, 0);
    magnitude.assign(dim, 0);
    for (int64_t key = begin; key <= last; ++key) {
      const double weight = std::exp(scores[static_cast<size_t>(key - begin)] - max);
      const uint16_t* row = &numbers_[at(sequence, key, kv_head, true)];
      total += weight;
      for (size_t d = 0; d < dim; ++d) {
        out[d] += weight * double{f32_from_bf16(row[d])};
        magnitude[d] += weight * std::fabs(double{f32_from_bf16(row[d])});
      }
    }
    for (size_t d = 0; d < dim; ++d) out[d] /= total, magnitude[d] /= total;
  }

 private:
  int64_t block_elements() const { return 2 * int64_t{desc_.kv_heads} * desc_.block_tokens * desc_.head_dim; }
  size_t at(size_t sequence, int64_t key, int32_t kv_head, bool value) const {
    const int32_t block =
        tables_[sequence * static_cast<size_t>(table_stride_) + static_cast<size_t>(key / desc_.block_tokens)];
    return static_cast<size_t>(block * block_elements() + (value ? block_elements() / 2 : 0) +
                               (kv_head * desc_.block_tokens + key % desc_.block_tokens) * desc_.head_dim);
  }

  // A row of numbers goes into the pool; of FP8 as codes and a scale, and the numbers become theirs.
  void store(size_t sequence, int64_t key, int32_t kv_head, bool value) {
    const DecodeKvView view = this->view();
    const auto dim = static_cast<size_t>(desc_.head_dim);
    const int32_t entry =
        tables_[sequence * static_cast<size_t>(table_stride_) + static_cast<size_t>(key / desc_.block_tokens)];
    const int64_t row = kv_head * desc_.block_tokens + key % desc_.block_tokens;
    uint8_t* block = &pool_[static_cast<size_t>(entry * view.block_bytes)];
    uint8_t* to = block + (value ? view.v_offset : view.k_offset);
    uint16_t* numbers = &numbers_[at(sequence, key, kv_head, value)];
    if (desc_.kv == DecodeKv::kBf16) {
      std::memcpy(to + row * desc_.head_dim * 2, numbers, dim * 2);
      return;
    }
    const float scale = 0.5f + static_cast<float>(random_() % 1024) / 1024;
    std::memcpy(block + (value ? view.v_scale_offset : view.k_scale_offset) + row * 4, &scale, 4);
    for (size_t d = 0; d < dim; ++d) {
      const uint8_t code = e4m3_from_f32(f32_from_bf16(numbers[d]));
      to[static_cast<size_t>(row) * dim + d] = code;
      numbers[d] = bf16_from_f32(f32_from_e4m3(code) * scale);
    }
  }

  void lay_out() {
    const auto stride = static_cast<size_t>(table_stride_);
    std::vector<int32_t> order(sequences_.size() * stride + 3);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random_);
    tables_.assign(sequences_.size() * stride, 1 << 30);
    numbers_.resize(order.size() * static_cast<size_t>(block_elements()));
    pool_.assign(order.size() * static_cast<size_t>(view().block_bytes), 0xff);
    std::vector<uint16_t> numbers(1 << 16);  // rows begin anywhere in them: quick, and enough
    std::normal_distribution<float> normal;
    for (uint16_t& bits : numbers) bits = bf16_from_f32(normal(random_));
    size_t next = 0;
    for (size_t s = 0; s < sequences_.size(); ++s) {
      for (int64_t key = 0; key < sequences_[s].history_len + sequences_[s].query_len; ++key) {
        int32_t& entry = tables_[s * stride + static_cast<size_t>(key / desc_.block_tokens)];
        if (key % desc_.block_tokens == 0) entry = order[next++];
        for (int32_t head = 0; head < desc_.kv_heads; ++head) {
          for (const bool value : {false, true}) {
            const size_t from = random_() % (numbers.size() - 128);
            std::memcpy(&numbers_[at(s, key, head, value)], &numbers[from], static_cast<size_t>(desc_.head_dim) * 2);
            store(s, key, head, value);
          }
        }
      }
    }
  }

  PrefillAttentionDesc desc_;
  std::mt19937 random_;
  std::vector<SequenceSlice> sequences_;
  int64_t table_stride_ = 0;
  std::vector<uint16_t> q_, numbers_;  // numbers: what the pool holds, by block
  std::vector<uint8_t> pool_;
  std::vector<float> sinks_;
  std::vector<int32_t> tables_;
};

}  // namespace tern::test
