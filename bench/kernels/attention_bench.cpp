// Times of the attention family, and of the small families around it, beside the limits of the machine measured in the
// same run.
//
//   attention_bench [--threads N] [--kernels TERN_KERNELS-list] [--heads 9] [--kv-heads 3] [--head-dim 64]
//                   [--block 16] [--format f16] [--layers 30] [--pages huge|small] [--context N [--query 1]]
//
// Decode walks through the layers of one cache, whose blocks lie in random order, so that keys come from memory as they
// do in a step. With --context, only that many positions, the last `query` of them asked. Bytes and operations are what
// cost() counts; times are the best of several rounds.
#include <fmt/core.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "device/buffer.h"
#include "kernels/activation/glu.h"
#include "kernels/attention/attention.h"
#include "kernels/norm/norm.h"
#include "kernels/rope/rope.h"
#include "printed_limits.h"
#include "quant/kv_format.h"

namespace tern::bench {
namespace {

struct Options {
  int threads = 1;
  std::string kernels;
  int32_t heads = 9, kv_heads = 3, head_dim = 64, block = 16, layers = 30, context = 0, query = 1;
  Format format = Format::kF16;
  PageHint pages = PageHint::kHuge;
};

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--threads") o.threads = std::stoi(value);
    if (flag == "--kernels") o.kernels = value;
    if (flag == "--heads") o.heads = std::stoi(value);
    if (flag == "--kv-heads") o.kv_heads = std::stoi(value);
    if (flag == "--head-dim") o.head_dim = std::stoi(value);
    if (flag == "--block") o.block = std::stoi(value);
    if (flag == "--context") o.context = std::stoi(value);
    if (flag == "--query") o.query = std::stoi(value);
    if (flag == "--layers") o.layers = std::stoi(value);
    if (flag == "--pages") o.pages = value == "small" ? PageHint::kSmall : PageHint::kHuge;
    if (flag == "--format") o.format = find_kv_format(value)->format;
  }
  return o;
}

// Of the calling thread's own processor time where it works alone, so that a neighbour's slices do not count.
bool own_time = false;

double now() {
  timespec t;
  clock_gettime(own_time ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

template <typename Work>
double best_seconds(int rounds, const Work& work) {
  constexpr double kEnough = 0.5;  // seconds, after which no round begins
  double best = 1e9, all = 0;
  for (int i = 0; i < rounds && all < kEnough; ++i) {
    const double begin = now();
    work();
    const double took = now() - begin;
    best = std::min(best, took);
    all += took;
  }
  return best;
}

std::vector<float> floats(int64_t count) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = uniform(random);
  return values;
}

// A cache for one sequence of `context` tokens, all layers in each block.
struct Cache {
  Buffer pool;
  std::vector<int32_t> table;
  KvLayerView view;
  int64_t layer_bytes;

  Cache(const Options& o, int64_t context) {
    const KvFormatInfo& format = *find_kv_format(o.format);
    view = kv_layer_view(nullptr, o.layers, 0, o.format, format.element_bytes, format.scale_bytes, o.kv_heads,
                         o.head_dim, o.block);
    layer_bytes = view.block_bytes / o.layers;
    table.resize(static_cast<size_t>((context + o.block - 1) / o.block));
    std::iota(table.begin(), table.end(), 0);
    std::shuffle(table.begin(), table.end(), std::mt19937(1));
    pool = Buffer(table.size() * static_cast<size_t>(view.block_bytes), "the cache", o.pages);
    std::memset(pool.data(), 0x11, pool.bytes());
    view.pool = pool.data();
  }
  KvLayerView layer(int64_t i) const {
    KvLayerView v = view;
    v.k_offset += i * layer_bytes;
    v.v_offset += i * layer_bytes;
    v.k_scale_offset += i * layer_bytes;
    v.v_scale_offset += i * layer_bytes;
    return v;
  }
};

void attention(const Options& o, ThreadPool& pool, int32_t sequences, int32_t query, int32_t context) {
  const Attention op({o.heads, o.kv_heads, o.head_dim, 1.0f / std::sqrt(static_cast<float>(o.head_dim))}, o.format,
                     KernelSelection::parse(o.kernels));
  const Cache cache(o, context * sequences);
  const int32_t cols = o.heads * o.head_dim, tokens = sequences * query;
  const std::vector<float> q = floats(static_cast<int64_t>(tokens) * cols);
  std::vector<float> out(q.size());
  std::vector<SequenceSlice> slices;
  const int32_t blocks = (context + o.block - 1) / o.block;
  for (int32_t s = 0; s < sequences; ++s) {
    slices.push_back({s * query, query, context - query, cache.table.data() + s * (blocks - (sequences > 1))});
  }
  std::vector<std::byte> workspace(op.workspace_bytes(context, pool.size()) + 64);
  std::byte* aligned = workspace.data() + (64 - reinterpret_cast<uintptr_t>(workspace.data()) % 64);
  const BatchShape batch{slices.data(), sequences, tokens, sequences};
  // A decode's sample is a step through all layers; a prompt's is one layer, short enough to escape a busy neighbour.
  const int32_t calls = query > 64 ? 1 : o.layers;
  int32_t first = 0;
  const auto work = [&](const Team& team) {
    for (int32_t i = 0; i < calls; ++i) {
      op.run({q.data(), cols, out.data(), cache.layer((first + i) % o.layers), batch, aligned}, team);
      team.sync();
    }
  };
  const double seconds = best_seconds(query > 64 ? 40 : 20,
                                      [&] {
                                        pool.run(work);
                                        first += calls;
                                      }) /
                         calls;
  const Cost cost = op.cost(batch);
  fmt::print("{:11} {:4} x {:4} tokens at {:6}: {:9.1f} us a layer, {:6.1f} GB/s, {:6.1f} GFLOP/s\n", op.kernel_name(),
             sequences, query, context, seconds * 1e6, cost.bytes / seconds / 1e9, cost.ops / seconds / 1e9);
}

void around(const Options& o, ThreadPool& pool, int32_t tokens) {
  const KernelSelection selection = KernelSelection::parse(o.kernels);
  const int32_t cols = o.heads * o.head_dim, inner = std::max(1536, cols), columns = o.heads + 2 * o.kv_heads;
  const std::vector<float> x = floats(static_cast<int64_t>(tokens) * 2 * inner), weight = floats(cols);
  std::vector<float> sum(static_cast<size_t>(tokens) * static_cast<size_t>(cols)), out(x.size());
  constexpr int kRepeat = 50;
  const auto time = [&](const auto& work) {
    return 1e6 / kRepeat * best_seconds(5, [&] {
             pool.run([&](const Team& team) {
               for (int i = 0; i < kRepeat; ++i) work(team);
             });
           });
  };
  const RmsNorm norm(selection);
  const double norm_us = time([&](const Team& team) {
    norm.run({x.data(), x.data(), sum.data(), weight.data(), out.data(), tokens, cols, 1e-5f}, team);
  });
  const Glu glu(Activation::kSilu, selection);
  const double glu_us = time([&](const Team& team) { glu.run({x.data(), out.data(), tokens, inner}, team); });
  const Cache cache(o, tokens);
  const std::vector<float> qkv = floats(static_cast<int64_t>(tokens) * columns * o.head_dim);
  const std::vector<float> angles = floats(static_cast<int64_t>(tokens) * o.head_dim);
  const SequenceSlice slice{0, tokens, 0, cache.table.data()};
  const RopeKv rope(o.format, selection);
  const double rope_us = time([&](const Team& team) {
    rope.run({qkv.data(),
              columns * o.head_dim,
              out.data(),
              o.heads,
              o.kv_heads,
              o.head_dim,
              o.head_dim,
              RopeStyle::kInterleaved,
              angles.data(),
              angles.data(),
              cache.layer(0),
              {&slice, 1, tokens, 1}},
             team);
  });
  fmt::print("{:8} {:4} tokens: sum + norm of {} {:.2f} us, rope + cache {:.2f} us, silu of {} {:.2f} us\n",
             norm.kernel_name(), tokens, cols, norm_us, rope_us, inner, glu_us);
}

int run(int argc, char** argv) {
  const Options o = parse(argc, argv);
  ThreadPool pool(o.threads, {.leave_out = false});
  own_time = pool.size() == 1;
  printed_limits(pool.size());
  if (o.context > 0) return attention(o, pool, 1, o.query, o.context), 0;
  for (const int32_t context : {128, 300, 1024, 8192, 16384}) attention(o, pool, 1, 1, context);
  attention(o, pool, 16, 1, 512);
  attention(o, pool, 1, 4, 1024);
  attention(o, pool, 1, 512, 512);
  attention(o, pool, 1, 128, 4096);
  attention(o, pool, 1, 512, 16384);
  for (const int32_t tokens : {1, 16, 512}) around(o, pool, tokens);
  return 0;
}

}  // namespace
}  // namespace tern::bench

int main(int argc, char** argv) { return tern::bench::run(argc, argv); }
