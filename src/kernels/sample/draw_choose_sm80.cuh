// The choice of one token by one thread block. Device code only.
//
// A key orders a row: the smaller key is the larger logit, among equals the lower id. A row is walked in its order in
// rounds of at most kRound keys: a round's keys are selected by their digits, sorted in shared memory, and their
// weights summed from the first on. Most draws end in the first round.
#pragma once

#include <cstdint>

#include "kernels/launch.cuh"
#include "kernels/sample/draw_gpu.h"

namespace tern::draw {

using Key = uint64_t;
inline constexpr Key kNoKey = ~Key{0};
inline constexpr Key kNan = 0;  // no logit's: it would be a NaN's
inline constexpr int kThreads = 1024;
inline constexpr int kRound = 2048;                    // keys
inline constexpr float kWeightOne = 8796093022208.0f;  // 2^43

__device__ inline Key key_of(float logit, uint32_t id) {
  if (logit != logit) return kNan;
  logit += 0.0f;  // -0 is 0
  const uint32_t bits = __float_as_uint(logit);
  const uint32_t descending = bits & 0x80000000u ? bits : ~bits ^ 0x80000000u;
  return static_cast<Key>(descending) << 32 | id;
}

__device__ inline float logit_of(Key key) {
  const auto descending = static_cast<uint32_t>(key >> 32);
  return __uint_as_float(descending & 0x80000000u ? descending : ~descending ^ 0x80000000u);
}

// What turns the logits of a row into weights.
struct Scale {
  float inverse, best, floor;
  __device__ Scale(const GpuDraw& draw, float best_logit)
      : inverse(draw.inverse_temperature), best(best_logit * inverse), floor(best + draw.log_min_p) {}
  __device__ uint64_t weight(float logit) const {
    const float scaled = logit * inverse;
    return scaled >= floor ? static_cast<uint64_t>(expf(scaled - best) * kWeightOne) : 0;
  }
};

// Two words a chunk of a row: the best keys of all chunks, then a sum of each.
template <typename Args>
__device__ Key* best_keys(const Args& args, int64_t row, int64_t chunks) {
  return args.workspace + 2 * row * chunks;
}
template <typename Args>
__device__ uint64_t* weights(const Args& args, int64_t row, int64_t chunks) {
  return best_keys(args, row, chunks) + chunks;
}

// What the row's token is drawn from.
__device__ inline const float* logits_of(const GpuDrawArgs& args, int64_t row) {
  const bool adjusted = args.adjusts != nullptr && is_adjusted(args.adjusts[row]);
  return (adjusted ? args.adjusted : args.logits) + row * args.vocabulary;
}

// The same in all threads. `shared`: [Threads / 32], free again at the return.
template <int Threads, typename Op>
__device__ uint64_t block_reduce(uint64_t value, uint64_t* shared, Op op) {
  for (int step = 16; step > 0; step /= 2) value = op(value, __shfl_xor_sync(~0u, value, step));
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  value = shared[0];
  for (int warp = 1; warp < Threads / 32; ++warp) value = op(value, shared[warp]);
  __syncthreads();
  return value;
}

// The best key of columns [begin, end), in all threads.
template <int Threads>
__device__ Key best_of(const float* logits, int64_t begin, int64_t end, uint64_t* shared) {
  Key best = kNoKey;
  for (int64_t i = begin + threadIdx.x; i < end; i += Threads) {
    best = min(best, key_of(logits[i], static_cast<uint32_t>(i)));
  }
  return block_reduce<Threads>(best, shared, [](Key a, Key b) { return min(a, b); });
}

struct Shared {
  Key keys[kRound];
  uint64_t sums[kRound];
  uint64_t reduce[kThreads / 32];
  uint32_t digits[256];
  uint64_t found;
  uint32_t count;
};

// Exclusive sum of one value a thread; `total` of all.
__device__ inline uint64_t exclusive_sum(uint64_t value, uint64_t* shared, uint64_t* total) {
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  uint64_t sum = value;
  for (unsigned step = 1; step < 32; step *= 2) {
    const uint64_t left = __shfl_up_sync(~0u, sum, step);
    if (lane >= step) sum += left;
  }
  if (lane == 31) shared[warp] = sum;
  __syncthreads();
  uint64_t before = 0, all = 0;
  for (unsigned w = 0; w < kThreads / 32; ++w) {
    before += w < warp ? shared[w] : 0;
    all += shared[w];
  }
  __syncthreads();
  *total = all;
  return before + sum - value;
}

// The id in the row, counted by ids, at which the sum of weights passes `target`, which is below the sum of all.
__device__ inline uint32_t find_by_id(const GpuDrawArgs& args, int64_t row, int64_t chunks, const Scale& scale,
                                      uint64_t target, Shared& s) {
  const uint64_t* sums = weights(args, row, chunks);
  const uint64_t own = threadIdx.x < chunks ? sums[threadIdx.x] : 0;  // at most 1,024 chunks
  uint64_t total;
  const uint64_t before = exclusive_sum(own, s.reduce, &total);
  if (target >= before && target - before < own) {
    s.count = threadIdx.x;
    s.found = target - before;
  }
  __syncthreads();
  const int64_t id = int64_t{s.count} * kGpuDrawChunk + threadIdx.x;
  target = s.found;
  __syncthreads();
  const uint64_t weight = id < args.vocabulary ? scale.weight(logits_of(args, row)[id]) : 0;
  const uint64_t sum = exclusive_sum(weight, s.reduce, &total);
  if (target >= sum && target - sum < weight) s.count = static_cast<uint32_t>(id);
  __syncthreads();
  return s.count;
}

// The `rank`-th smallest key (from 0) of those above `above`, which are more than that.
__device__ inline Key select_key(const float* logits, int64_t vocabulary, Key above, bool first, uint32_t rank,
                                 Shared& s) {
  Key prefix = 0, mask = 0;
  for (int shift = 56; shift >= 0; shift -= 8) {
    if (threadIdx.x < 256) s.digits[threadIdx.x] = 0;
    __syncthreads();
    for (int64_t i = threadIdx.x; i < vocabulary; i += kThreads) {
      const Key key = key_of(logits[i], static_cast<uint32_t>(i));
      if ((key & mask) != prefix || (!first && key <= above)) continue;
      const auto digit = static_cast<uint32_t>(key >> shift & 255);
      const unsigned peers = __match_any_sync(__activemask(), digit);
      if (static_cast<unsigned>(__ffs(static_cast<int>(peers))) - 1 == threadIdx.x % 32) {
        atomicAdd(&s.digits[digit], static_cast<uint32_t>(__popc(peers)));
      }
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      uint32_t digit = 0, left = rank;
      while (left >= s.digits[digit]) left -= s.digits[digit++];
      s.found = digit;
      s.count = left;
    }
    __syncthreads();
    prefix |= s.found << shift;
    mask |= Key{255} << shift;
    rank = s.count;
    __syncthreads();
  }
  return prefix;
}

// Bitonic, ascending.
__device__ inline void sort_keys(Key* keys) {
  for (int size = 2; size <= kRound; size *= 2) {
    for (int stride = size / 2; stride > 0; stride /= 2) {
      const int i = 2 * static_cast<int>(threadIdx.x) - (static_cast<int>(threadIdx.x) & (stride - 1));
      const Key a = keys[i], b = keys[i + stride];
      if ((a > b) == ((i & size) == 0)) keys[i] = b, keys[i + stride] = a;
      __syncthreads();
    }
  }
}

// Loads keys in (above, last] into the round, sorted, with the sums of their weights; returns how many. More than
// kRound are counted, not loaded.
__device__ inline uint32_t load_round(const float* logits, int64_t vocabulary, const Scale& scale, Key above,
                                      bool first, Key last, Shared& s) {
  if (threadIdx.x == 0) s.count = 0;
  for (int i = static_cast<int>(threadIdx.x); i < kRound; i += kThreads) s.keys[i] = kNoKey;
  __syncthreads();
  for (int64_t i = threadIdx.x; i < vocabulary; i += kThreads) {
    const Key key = key_of(logits[i], static_cast<uint32_t>(i));
    if (key > last || (!first && key <= above)) continue;
    const uint32_t at = atomicAdd(&s.count, 1u);
    if (at < kRound) s.keys[at] = key;
  }
  __syncthreads();
  const uint32_t count = s.count;
  __syncthreads();
  if (count > kRound) return count;
  sort_keys(s.keys);
  const unsigned at = 2 * threadIdx.x;
  const uint64_t a = at < count ? scale.weight(logit_of(s.keys[at])) : 0;
  const uint64_t b = at + 1 < count ? scale.weight(logit_of(s.keys[at + 1])) : 0;
  uint64_t total;
  const uint64_t before = exclusive_sum(a + b, s.reduce, &total);
  s.sums[at] = before + a;
  s.sums[at + 1] = before + a + b;
  __syncthreads();
  return count;
}

// Rounds of a row, the current one kept.
class Rounds {
 public:
  __device__ Rounds(const float* logits, int64_t vocabulary, const Scale& scale, Key guess, Shared& s)
      : logits_(logits), vocabulary_(vocabulary), scale_(scale), guess_(guess), s_(s) {}

  // Walks from the best token on until `most` tokens are passed, or the sum of weights exceeds `target`, or only
  // weightless ones are left. `*sum`: up to and with the last token passed. Returns its key.
  __device__ Key walk(uint64_t most, uint64_t target, uint64_t* sum) {
    if (begin_ != 0) begin_ = 0, begin_sum_ = 0, end_ = 0, loaded_ = 0;
    for (;;) {
      if (loaded_ == 0) load();
      const auto limit = static_cast<uint32_t>(min(most - begin_, uint64_t{loaded_}));
      // The first whose sum exceeds the target, or the last allowed.
      if (threadIdx.x == 0) s_.count = limit - 1;
      __syncthreads();
      for (uint32_t i = threadIdx.x; i < limit; i += kThreads) {
        const uint64_t before = i == 0 ? 0 : s_.sums[i - 1];
        if (begin_sum_ + before <= target && begin_sum_ + s_.sums[i] > target) s_.count = i;
      }
      __syncthreads();
      const uint32_t at = s_.count;
      const Key key = s_.keys[at];
      const uint64_t round_sum = s_.sums[at], weight = round_sum - (at == 0 ? 0 : s_.sums[at - 1]);
      __syncthreads();
      *sum = begin_sum_ + round_sum;
      if (*sum > target || begin_ + at + 1 >= most || begin_ + loaded_ >= static_cast<uint64_t>(vocabulary_) ||
          weight == 0) {
        return key;
      }
      begin_ += loaded_;
      begin_sum_ += round_sum;
      end_ = key;
      loaded_ = 0;
    }
  }

 private:
  __device__ void load() {
    const bool first = begin_ == 0;
    if (first && guess_ != kNoKey) {
      loaded_ = load_round(logits_, vocabulary_, scale_, 0, true, guess_, s_);
      if (loaded_ > 0 && loaded_ <= kRound) return;
      guess_ = kNoKey;
    }
    const uint64_t left = static_cast<uint64_t>(vocabulary_) - begin_;
    const Key last = left <= kRound ? kNoKey : select_key(logits_, vocabulary_, end_, first, kRound - 1, s_);
    loaded_ = load_round(logits_, vocabulary_, scale_, end_, first, last, s_);
  }

  const float* logits_;
  int64_t vocabulary_;
  Scale scale_;
  Key guess_;  // the end of the first round, perhaps
  Shared& s_;
  uint64_t begin_ = 0, begin_sum_ = 0;  // tokens before the round, and their weight
  Key end_ = 0;                         // the last of them
  uint32_t loaded_ = 0;                 // of the round
};

// A key that ends a first round well: the top_k-th best of the chunks' best keys (it leaves out none of the first
// top_k), or what is a factor of e^6 less probable than the best.
__device__ inline Key guess_end(const GpuDraw& draw, const Key* keys, int64_t chunks, const Scale& scale, Shared& s) {
  if (draw.top_k <= 0 || draw.top_k > chunks) {
    const float logit = (scale.best - 6.0f) / scale.inverse;
    return key_of(logit, ~uint32_t{0});
  }
  if (threadIdx.x < chunks) {
    const Key mine = keys[threadIdx.x];
    int rank = 0;
    for (int64_t c = 0; c < chunks; ++c) rank += keys[c] < mine;
    if (rank == draw.top_k - 1) s.found = mine;
  }
  __syncthreads();
  const Key end = s.found;
  __syncthreads();
  return end;
}

// unit * total, rounded down, of a unit of 64 bits.
__device__ inline uint64_t share_of(uint64_t total, uint64_t unit) { return __umul64hi(total, unit); }

// top_p as a sum of weights: passed by the shortest run that reaches it.
__device__ inline uint64_t top_p_target(uint64_t total, float top_p) {
  const double want = static_cast<double>(top_p) * static_cast<double>(total);
  const auto whole = static_cast<uint64_t>(ceil(want));
  return whole == 0 ? 0 : min(whole, total) - 1;
}

__device__ inline uint32_t choose(const GpuDrawArgs& args, int64_t row, int64_t chunks, const GpuDraw& draw,
                                  const Scale& scale, Shared& s) {
  const uint64_t* sums = weights(args, row, chunks);
  uint64_t total = threadIdx.x < chunks ? sums[threadIdx.x] : 0;
  total = block_reduce<kThreads>(total, s.reduce, [](uint64_t a, uint64_t b) { return a + b; });
  if (draw.top_k <= 0 && draw.top_p >= 1.0f) {
    return find_by_id(args, row, chunks, scale, share_of(total, draw.random), s);
  }
  const Key end = guess_end(draw, best_keys(args, row, chunks), chunks, scale, s);
  Rounds rounds(logits_of(args, row), args.vocabulary, scale, end, s);
  const uint64_t most = draw.top_k > 0 ? static_cast<uint64_t>(draw.top_k) : ~uint64_t{0};
  uint64_t kept = total;
  if (draw.top_k > 0) rounds.walk(most, ~uint64_t{0}, &kept);
  if (draw.top_p < 1.0f) rounds.walk(most, top_p_target(kept, draw.top_p), &kept);
  uint64_t sum;
  return static_cast<uint32_t>(rounds.walk(most, share_of(kept, draw.random), &sum));
}

}  // namespace tern::draw
