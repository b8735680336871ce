// Times of decode attention over a paged cache beside the copy bandwidth of the same run.
//
//   decode_attention_bench [--kv bf16,fp8] [--shapes 1x1024,8x4096] [--block-tokens 64,16] [--head-dim 128]
//                          [--heads 32] [--kv-heads 8] [--query 1] [--window 0] [--soft-cap 0] [--rounds N]
//
// A shape is sequences x context. A block of the cache holds as many layers as make the cache many times larger than
// the L2 cache, blocks lie in random order, and a graph walks through the layers. "plain" launches wait for each other,
// "overlap" ones fetch the history while the one before ends. floor = cost().bytes / copy bandwidth, bytes a second
// are those of cost(); range: the fastest and slowest round of the overlapped launches.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "core/half.h"
#include "gpu_timing.h"
#include "kernels/attention/decode_attention_plan.h"

namespace tern::bench {
namespace {

struct Options {
  std::vector<std::string> kv = {"bf16", "fp8"};
  std::vector<std::string> shapes = {"1x1024",  "1x4096",  "1x16384", "1x65536", "8x1024",  "8x4096",
                                     "8x16384", "32x1024", "32x4096", "32x8192", "128x1024"};
  std::vector<std::string> block_tokens = {"64"};
  int32_t head_dim = 128, heads = 32, kv_heads = 8, query = 1, window = 0;
  float soft_cap = 0;
  int rounds = 20;
};

std::vector<std::string> split(const std::string& list, char at) {
  std::vector<std::string> parts;
  std::istringstream stream(list);
  for (std::string part; std::getline(stream, part, at);) parts.push_back(part);
  return parts;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--kv") {
      options.kv = split(value, ',');
    } else if (flag == "--shapes") {
      options.shapes = split(value, ',');
    } else if (flag == "--block-tokens") {
      options.block_tokens = split(value, ',');
    } else if (flag == "--head-dim") {
      options.head_dim = std::stoi(value);
    } else if (flag == "--heads") {
      options.heads = std::stoi(value);
    } else if (flag == "--kv-heads") {
      options.kv_heads = std::stoi(value);
    } else if (flag == "--query") {
      options.query = std::stoi(value);
    } else if (flag == "--window") {
      options.window = std::stoi(value);
    } else if (flag == "--soft-cap") {
      options.soft_cap = std::stof(value);
    } else if (flag == "--rounds") {
      options.rounds = std::stoi(value);
    } else {
      fmt::print(stderr, "decode_attention_bench: unknown flag {}\n", flag);
      std::exit(2);
    }
  }
  return options;
}

constexpr size_t kPoolBytes = 6ull << 30;

// Random numbers of spread 1 in either format wherever a key begins.
void fill(const DeviceMemory& pool, DecodeKv kv) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<uint16_t> pattern(8 << 20);
  for (uint16_t& bits : pattern) {
    bits = bf16_from_f32(normal(random));
    // Both bytes e4m3 of a size up to 2.
    if (kv == DecodeKv::kFp8) bits = static_cast<uint16_t>(random() & 0xbfbf);
  }
  const size_t bytes = pattern.size() * 2;
  check_cuda(cudaMemcpy(pool.data(), pattern.data(), bytes, cudaMemcpyHostToDevice), "fill");
  for (size_t done = bytes; done < pool.bytes();) {
    const size_t piece = std::min(done, pool.bytes() - done);
    check_cuda(cudaMemcpy(pool.data() + done, pool.data(), piece, cudaMemcpyDeviceToDevice), "fill");
    done += piece;
  }
}

// `sequences` contexts of `keys` keys each, on the device.
class Step {
 public:
  Step(const DecodeAttentionDesc& desc, const DecodeAttentionImpl& impl, const DeviceMemory& pool, int32_t sequences,
       int32_t keys, int32_t query)
      : impl_(impl) {
    layout_ = decode_kv_layout(desc.kv, desc.kv_heads, desc.head_dim, desc.block_tokens);
    const int64_t layer_bytes = layout_.bytes();
    const int32_t table_stride = (keys + desc.block_tokens - 1) / desc.block_tokens;
    const int64_t blocks = int64_t{sequences} * table_stride;
    layers_ = static_cast<int>(std::clamp<int64_t>(static_cast<int64_t>(pool.bytes()) / (blocks * layer_bytes), 1, 64));
    std::vector<int32_t> tables(static_cast<size_t>(blocks));
    std::iota(tables.begin(), tables.end(), 0);
    std::shuffle(tables.begin(), tables.end(), std::mt19937(2));
    std::vector<SequenceSlice> slices;
    for (int32_t i = 0; i < sequences; ++i) slices.push_back({i * query, query, keys - query, nullptr});
    const int32_t rows = decode_attention_rows(desc, query);
    plan_ =
        plan_decode_attention(desc, {slices.data(), sequences, sequences * query, 0}, rows, impl.thread_blocks(rows));
    const int64_t columns = int64_t{desc.heads} * desc.head_dim, tokens = int64_t{sequences} * query;
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    std::vector<uint16_t> q(static_cast<size_t>(tokens * columns));
    for (uint16_t& bits : q) bits = bf16_from_f32(normal(random));
    memory_.emplace_back(tables);
    memory_.emplace_back(plan_.units);
    memory_.emplace_back(q);
    memory_.emplace_back(q.size() * 2);
    memory_.emplace_back(impl.workspace_bytes(desc, plan_.rows, plan_.slots));
    check_cuda(cudaMemset(memory_[4].data(), 0, memory_[4].bytes()), "memset");
    args_ = {desc,
             {},
             memory_[2].data(),
             columns,
             memory_[3].data(),
             columns,
             nullptr,
             reinterpret_cast<const int32_t*>(memory_[0].data()),
             table_stride,
             reinterpret_cast<const DecodeUnit*>(memory_[1].data()),
             plan_.thread_blocks,
             plan_.rows,
             memory_[4].data(),
             plan_.slots,
             false};
    pool_ = pool.data();
    blocks_ = blocks;
  }

  int layers() const { return layers_; }
  const DecodeAttentionPlan& plan() const { return plan_; }
  Sample time(bool overlap, int rounds, cudaStream_t stream) const {
    Sample sample = time_graph(stream, rounds, [&](cudaStream_t s) {
      for (int layer = 0; layer < layers_; ++layer) {
        DecodeAttentionArgs args = args_;
        args.kv = decode_kv_view(layout_, pool_, blocks_, layout_.bytes() * layers_, layer * layout_.bytes());
        args.overlap = overlap;
        check_cuda(static_cast<cudaError_t>(impl_.run(args, s)), impl_.name);
      }
    });
    return {sample.median / layers_, sample.best / layers_, sample.worst / layers_};
  }

 private:
  const DecodeAttentionImpl& impl_;
  int layers_ = 0;
  DecodeKvLayout layout_ = {};
  const void* pool_ = nullptr;
  int64_t blocks_ = 0;
  DecodeAttentionPlan plan_;
  std::vector<DeviceMemory> memory_;
  DecodeAttentionArgs args_ = {};
};

const DecodeAttentionImpl* impl_of(const DecodeAttentionDesc& desc) {
  for (int i = 0; i < kDecodeAttentionSm90.count; ++i) {
    if (kDecodeAttentionSm90.rows[i].supports(desc)) return &kDecodeAttentionSm90.rows[i];
  }
  fmt::print(stderr, "decode_attention_bench: no kernel\n");
  std::exit(2);
}

void report(const DecodeAttentionDesc& desc, const std::string& shape, const Options& options, const DeviceMemory& pool,
            double bandwidth, cudaStream_t stream) {
  const DecodeAttentionImpl& impl = *impl_of(desc);
  const std::vector<std::string> parts = split(shape, 'x');
  const int32_t sequences = std::stoi(parts.at(0)), keys = std::stoi(parts.at(1));
  const Step step(desc, impl, pool, sequences, keys, options.query);
  const Sample plain = step.time(false, options.rounds, stream), overlap = step.time(true, options.rounds, stream);
  const int32_t seen = options.window > 0 ? std::min(keys, options.window + options.query - 1) : keys;
  const double bytes = impl.cost(desc, int64_t{sequences} * options.query, int64_t{sequences} * seen).bytes;
  const double floor = bytes / bandwidth * 1e6;
  fmt::print(
      "{:<14} {:>4} {:<9} {:>3} {:>6} {:>5}  {:8.1f}  {:8.1f} {:5.1f} % {:6.0f}  {:8.1f} {:5.1f} % {:6.0f}  "
      "{:.1f}-{:.1f}\n",
      impl.name, desc.block_tokens, shape, step.layers(), 1 << step.plan().levels, step.plan().slots, floor,
      plain.median, 100 * floor / plain.median, bytes / plain.median * 1e-3, overlap.median,
      100 * floor / overlap.median, bytes / overlap.median * 1e-3, overlap.best, overlap.worst);
}

int run(const Options& options) {
  if (!test::has_device()) {
    fmt::print(stderr, "decode_attention_bench: no CUDA device\n");
    return 3;
  }
  cudaStream_t stream;
  check_cuda(cudaStreamCreate(&stream), "stream");
  const DeviceMemory pool(kPoolBytes);
  fill(pool, DecodeKv::kBf16);
  const double bandwidth = copy_bandwidth(stream, pool);
  cudaDeviceProp device;
  check_cuda(cudaGetDeviceProperties(&device, 0), "properties");
  fmt::print("{}, copy {:.0f} GB/s; {}/{} heads of {}, {} query tokens; microseconds a layer, median of {} rounds\n",
             device.name, bandwidth * 1e-9, options.heads, options.kv_heads, options.head_dim, options.query,
             options.rounds);
  fmt::print("{:<14} {:>4} {:<9} {:>3} {:>6} {:>5}  {:>8}  {:>8} {:>7} {:>6}  {:>8} {:>7} {:>6}  {}\n", "kernel",
             "page", "shape", "L", "chunks", "slots", "floor", "plain", "share", "GB/s", "overlap", "share", "GB/s",
             "range");
  for (const std::string& kv : options.kv) {
    const DecodeKv format = kv == "fp8" ? DecodeKv::kFp8 : DecodeKv::kBf16;
    fill(pool, format);
    for (const std::string& block_tokens : options.block_tokens) {
      const DecodeAttentionDesc desc = {options.heads,    options.kv_heads,
                                        options.head_dim, std::stoi(block_tokens),
                                        format,           1 / std::sqrt(static_cast<float>(options.head_dim)),
                                        options.window,   options.soft_cap};
      for (const std::string& shape : options.shapes) {
        report(desc, shape, options, pool, bandwidth, stream);
      }
    }
  }
  cudaStreamDestroy(stream);
  return 0;
}

}  // namespace
}  // namespace tern::bench

int main(int argc, char** argv) { return tern::bench::run(tern::bench::parse(argc, argv)); }
