// Sequences with random queries, keys and values over a paged cache of one layer, and attention run over any steps of
// them. Owned by a test; one thread, but for what a given pool runs.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "emulated_amx.h"
#include "kernels/attention/attention.h"
#include "paged_cache.h"

namespace tern::test {

struct Shape {
  int32_t group, kv_heads, head_dim, block_tokens;
  Format format;
  int64_t window = 0;
  float soft_cap = 0;
  bool sinks = false;
  bool chunked = false;
};

// Of up to 64 heads: below, among and above what scores come to.
inline const float* sinks() {
  static const std::vector<float> all = [] {
    std::vector<float> values;
    for (int head = 0; head < 64; ++head) values.push_back(-4.0f + 3.0f * static_cast<float>(head % 5));
    return values;
  }();
  return all.data();
}

inline std::string describe(const Shape& s) {
  return "group " + std::to_string(s.group) + ", " + std::to_string(s.kv_heads) + " kv heads, head_dim " +
         std::to_string(s.head_dim) + ", blocks of " + std::to_string(s.block_tokens) + ", format " +
         std::to_string(static_cast<int>(s.format)) + ", window " + std::to_string(s.window) + ", cap " +
         std::to_string(s.soft_cap) + (s.sinks ? ", sinks" : "") + (s.chunked ? ", chunked" : "");
}

// Rows of the family's AMX file over tile registers in software.
inline const std::string kEmulated = "emulated_";

// The vector implementations that this processor can run, for caches of the shape's kind.
inline std::vector<std::string> vector_names(const Shape& shape) {
  std::vector<std::string> names;
  const auto add = [&](const std::string& name, const std::string& prefix) {
    const bool int8 = name.ends_with("_int8"), bf16 = name.ends_with("_bf16");
    if (name == "ref" || int8 != (shape.format == kKvInt8)) return;
    if (!bf16 || shape.format != Format::kF32) names.push_back(prefix + name);
  };
  for (const KernelListing& kernel : attention_listing()) {
    if (kernel.available) add(std::string(kernel.name), "");
  }
  for (const AttentionImpl* row : emulated_attention_impls()) add(row->name, kEmulated);
  return names;
}

// Normalized squared error against ref over the same cache: what a kernel rounds besides the cache. Over codes these
// are queries and weights; with bf16 products all operands; else nothing but sums.
inline double most_error(const std::string& kernel) {
  if (kernel.ends_with("_int8")) return 2e-4;
  return kernel.ends_with("_bf16") ? 3e-5 : 1e-11;
}

inline std::vector<std::string> all_names(const Shape& shape) {
  std::vector<std::string> names = vector_names(shape);
  names.emplace_back("ref");
  return names;
}

inline AttentionDesc desc_of(const Shape& shape) {
  return {.heads = shape.group * shape.kv_heads,
          .kv_heads = shape.kv_heads,
          .head_dim = shape.head_dim,
          .scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim)),
          .window = shape.window,
          .soft_cap = shape.soft_cap,
          .sinks = shape.sinks ? sinks() : nullptr,
          .chunked = shape.chunked};
}

inline Attention make(const Shape& shape, const std::string& name) {
  for (const AttentionImpl* row : emulated_attention_impls()) {
    if (name == kEmulated + row->name) return Attention(desc_of(shape), shape.format, *row);
  }
  return Attention(desc_of(shape), shape.format, KernelSelection::parse("attention:" + name));
}

// A sequence with all its queries, keys and values, and how much of it is in the cache.
struct Sequence {
  int64_t length;
  std::vector<float> q, k, v;  // [length, heads, head_dim], [length, kv_heads, head_dim]
  std::vector<int32_t> table;
  int64_t written = 0;
};

struct Step {
  int sequence;
  int64_t history, query;
};

class World {
 public:
  World(const Shape& shape, const std::vector<int64_t>& lengths, float q_scale = 1, uint64_t seed = 1)
      : shape_(shape),
        cache_(shape.format, shape.kv_heads, shape.head_dim, shape.block_tokens, blocks_for(shape, lengths), seed) {
    for (const int64_t length : lengths) {
      Sequence s{.length = length};
      s.q = random_floats(static_cast<size_t>(length * q_cols()), q_scale, ++seed);
      s.k = random_floats(static_cast<size_t>(length * kv_cols()), 1, ++seed);
      s.v = random_floats(static_cast<size_t>(length * kv_cols()), 1, ++seed);
      s.table = cache_.take_blocks(length);
      sequences_.push_back(std::move(s));
    }
  }
  int64_t q_cols() const { return static_cast<int64_t>(shape_.group) * shape_.kv_heads * shape_.head_dim; }
  int64_t kv_cols() const { return static_cast<int64_t>(shape_.kv_heads) * shape_.head_dim; }
  const PagedCache& cache() const { return cache_; }
  Sequence& sequence(int i) { return sequences_[static_cast<size_t>(i)]; }

  // Writes the keys that the batch needs and no more, then runs it: [tokens, heads * head_dim]. `pool` null: the
  // workers one after the other, last first.
  std::vector<float> run(const Attention& attention, const std::vector<Step>& steps, int workers,
                         ThreadPool* pool = nullptr) {
    std::vector<SequenceSlice> slices;
    std::vector<float> q;
    const int64_t stride = q_cols() + 24;
    int64_t tokens = 0, context = 0;
    for (const Step& step : steps) {
      Sequence& s = sequence(step.sequence);
      for (; s.written < step.history + step.query; ++s.written) {
        cache_.write(s.table, s.written, &s.k[static_cast<size_t>(s.written * kv_cols())],
                     &s.v[static_cast<size_t>(s.written * kv_cols())]);
      }
      slices.push_back({static_cast<int32_t>(tokens), static_cast<int32_t>(step.query),
                        static_cast<int32_t>(step.history), s.table.data()});
      q.resize(static_cast<size_t>((tokens + step.query) * stride), NAN);
      for (int64_t t = 0; t < step.query; ++t) {
        std::copy_n(&s.q[static_cast<size_t>((step.history + t) * q_cols())], q_cols(),
                    &q[static_cast<size_t>((tokens + t) * stride)]);
      }
      tokens += step.query;
      context = std::max(context, step.history + step.query);
    }
    const uint64_t bytes = attention.workspace_bytes(context, workers);
    const std::unique_ptr<std::byte[]> memory(new std::byte[bytes + 128]);
    std::memset(memory.get(), 0xff, bytes + 128);
    std::byte* workspace = memory.get() + (64 - reinterpret_cast<uintptr_t>(memory.get()) % 64);
    std::vector<float> out(static_cast<size_t>(tokens * q_cols()), NAN);
    const AttentionArgs args{.q = q.data(),
                             .q_stride = stride,
                             .out = out.data(),
                             .kv = cache_.view(),
                             .batch = {slices.data(), static_cast<int32_t>(slices.size()), static_cast<int32_t>(tokens),
                                       static_cast<int32_t>(slices.size())},
                             .workspace = workspace};
    if (pool != nullptr) {
      pool->run([&](const Team& team) { attention.run(args, team); });
    } else {
      bool cut = false;
      for (int w = workers; w-- > 0;) cut = attention.compute(args, w, workers);
      if (cut) {
        for (int w = workers; w-- > 0;) attention.merge(args, w, workers);
      }
    }
    for (uint64_t i = 0; i < 32; ++i) EXPECT_EQ(workspace[bytes + i], std::byte{0xff}) << "workspace overrun";
    return out;
  }

 private:
  static int32_t blocks_for(const Shape& shape, const std::vector<int64_t>& lengths) {
    int64_t blocks = 3;
    for (const int64_t length : lengths) blocks += (length + shape.block_tokens - 1) / shape.block_tokens;
    return static_cast<int32_t>(blocks);
  }
  Shape shape_;
  PagedCache cache_;
  std::vector<Sequence> sequences_;
};

inline double squared_error(const std::vector<float>& got, const std::vector<float>& want) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    error += (double(got[i]) - want[i]) * (double(got[i]) - want[i]);
    norm += double(want[i]) * want[i];
  }
  return error / norm;
}

}  // namespace tern::test
