// Times of the products of many tokens with 4-bit weights beside cuBLASLt's bf16 product of the same shape, the copy
// bandwidth and decoding plus cuBLASLt, all of one run.
//
//   w4_product_bench [--weights w4_block32,w4_block32_offset] [--tokens 16,32,...] [--rounds N] [--products]
//
// The shapes are those of Llama 3.1 8B: a layer's four products in order (--products: each alone besides), of all
// layers of a stack whose weights are many times larger than the L2 cache. "limit" is the larger of bytes / copy
// bandwidth and operations / 989 TFLOPS.
#include <fmt/core.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "decode_stack.h"
#include "gpu_timing.h"
#include "kernels/linear/cuda_matmul.h"
#include "kernels/linear/w4_product.h"

namespace tern::bench {
namespace {

constexpr double kPeakOps = 989e12;  // dense bf16 of an H100 SXM

struct Options {
  std::vector<std::string> weights = {"w4_block32", "w4_block32_offset"};
  std::vector<std::string> tokens = {"16", "32", "64", "128", "256", "512", "1024", "2048", "4096"};
  int rounds = 15;
  bool products = false;
};

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  std::istringstream stream(list);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--products") {
      options.products = true;
    } else if (i + 1 < argc && flag == "--weights") {
      options.weights = split(argv[++i]);
    } else if (i + 1 < argc && flag == "--tokens") {
      options.tokens = split(argv[++i]);
    } else if (i + 1 < argc && flag == "--rounds") {
      options.rounds = std::stoi(argv[++i]);
    } else {
      fmt::print(stderr, "w4_product_bench: unknown flag {}\n", flag);
      std::exit(2);
    }
  }
  return options;
}

// Activations before and behind each product of a layer, dense.
class Activations {
 public:
  explicit Activations(int64_t tokens) {
    std::mt19937 random(2);
    std::normal_distribution<float> normal;
    std::vector<uint16_t> some(1 << 20);
    for (uint16_t& bits : some) bits = bf16_from_f32(normal(random));
    const DeviceMemory source(some);
    for (int i = 0; i < 5; ++i) {
      rows_.emplace_back(static_cast<size_t>(tokens * kMaxFeatures * 2));
      for (size_t at = 0; at < rows_.back().bytes(); at += source.bytes()) {
        check_cuda(cudaMemcpy(rows_.back().data() + at, source.data(),
                              std::min(source.bytes(), rows_.back().bytes() - at), cudaMemcpyDeviceToDevice),
                   "fill");
      }
    }
  }
  std::byte* before(int product) const { return rows_[static_cast<size_t>(product)].data(); }
  std::byte* behind(int product) const { return rows_[static_cast<size_t>(product) + 1].data(); }

 private:
  std::vector<DeviceMemory> rows_;
};

struct Bench {
  cudaStream_t stream;
  int rounds;
  CudaMatmul& matmul;
  double bandwidth;

  template <typename Product>
  double layer_us(int first, int last, const Product& product) const {
    return time_graph(stream, rounds,
                      [&](cudaStream_t s) {
                        for (int layer = 0; layer < kLayers; ++layer) {
                          for (int i = first; i <= last; ++i) product(layer, i, s);
                        }
                      })
               .median /
           kLayers;
  }
};

double limit_us(const W4ProductImpl& impl, int first, int last, int64_t tokens, double bandwidth) {
  double us = 0;
  for (int i = first; i <= last; ++i) {
    const auto rows = static_cast<double>(kProducts[i].rows), cols = static_cast<double>(kProducts[i].cols);
    const double bytes = static_cast<double>(weight_bytes({kProducts[i].rows, kProducts[i].cols, impl.weight})) +
                         2 * static_cast<double>(tokens) * (rows + cols);
    us += 1e6 * std::max(bytes / bandwidth, 2 * rows * cols * static_cast<double>(tokens) / kPeakOps);
  }
  return us;
}

void report(const Bench& bench, const W4ProductImpl& impl, const Stack& packed, const Stack& plain,
            const DeviceMemory& workspace, const Activations& rows, int64_t tokens, int first, int last) {
  const auto ours = [&](bool overlap) {
    return bench.layer_us(first, last, [&](int layer, int i, cudaStream_t s) {
      const DecodeProductArgs a = packed.args(layer, i, 1, overlap);
      check_cuda(static_cast<cudaError_t>(impl.run({a.desc, a.weights, rows.before(i), a.desc.cols, rows.behind(i),
                                                    a.desc.rows, tokens, workspace.data(), overlap},
                                                   s)),
                 impl.name);
    });
  };
  const double alone = ours(false), overlapped = ours(true);
  const double peer = bench.layer_us(first, last, [&](int layer, int i, cudaStream_t s) {
    const DecodeProductArgs a = plain.args(layer, i, 1, false);
    bench.matmul.run({.rows = a.desc.rows, .cols = a.desc.cols, .tokens = tokens},
                     {.w = a.weights, .x = rows.before(i), .y = rows.behind(i)}, s);
  });
  double ops = 0;
  for (int i = first; i <= last; ++i) ops += 2.0 * static_cast<double>(kProducts[i].rows * kProducts[i].cols * tokens);
  const double limit = limit_us(impl, first, last, tokens, bench.bandwidth);
  fmt::print("{:<23} {:<8} {:>5}  {:>7.1f}  {:>8.1f} {:>8.1f}  {:>5.1f} % {:>6.0f}  {:>8.1f}  {:>5.2f}x\n", impl.name,
             first == last ? kProducts[first].name : "layer", tokens, limit, alone, overlapped,
             100 * limit / overlapped, ops / overlapped * 1e-6, peer, peer / overlapped);
}

double measure_copy(cudaStream_t stream) {
  const DeviceMemory memory(4ull << 30);
  check_cuda(cudaMemset(memory.data(), 0x5a, memory.bytes()), "fill");
  return copy_bandwidth(stream, memory);
}

int run(const Options& options) {
  if (!test::has_device()) {
    fmt::print(stderr, "w4_product_bench: no CUDA device\n");
    return 3;
  }
  cudaStream_t stream;
  check_cuda(cudaStreamCreate(&stream), "stream");
  CudaMatmul matmul;
  const Bench bench = {stream, options.rounds, matmul, measure_copy(stream)};
  const Stack plain(DecodeWeight::kBf16);
  const DeviceMemory workspace(static_cast<size_t>(w4_product_workspace_bytes()));
  check_cuda(cudaMemset(workspace.data(), 0, workspace.bytes()), "memset");
  fmt::print("copy {:.0f} GB/s; microseconds a layer, median of {} rounds\n", bench.bandwidth * 1e-9, options.rounds);
  fmt::print("{:<23} {:<8} {:>5}  {:>7}  {:>8} {:>8}  {:>7} {:>6}  {:>8}  {:>6}\n", "kernel", "product", "M", "limit",
             "plain", "overlap", "limit", "TFLOPS", "cublaslt", "ratio");
  for (int i = 0; i < kW4ProductSm90.count; ++i) {
    const W4ProductImpl& impl = kW4ProductSm90.rows[i];
    const char* name = impl.weight == DecodeWeight::kW4Block32 ? "w4_block32" : "w4_block32_offset";
    if (std::find(options.weights.begin(), options.weights.end(), name) == options.weights.end()) continue;
    const Stack packed(impl.weight);
    for (const std::string& text : options.tokens) {
      const int64_t tokens = std::stoll(text);
      const Activations rows(tokens);
      for (int product = 0; options.products && product < 4; ++product) {
        report(bench, impl, packed, plain, workspace, rows, tokens, product, product);
      }
      report(bench, impl, packed, plain, workspace, rows, tokens, 0, 3);
    }
  }
  return 0;
}

}  // namespace
}  // namespace tern::bench

int main(int argc, char** argv) { return tern::bench::run(tern::bench::parse(argc, argv)); }
