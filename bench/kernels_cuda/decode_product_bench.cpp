// Times of the decode products beside the copy bandwidth and cuBLASLt's bf16 product, all of one run.
//
//   decode_product_bench [--weights bf16,fp8_channel,fp8_block,w4,w4_block32,w4_block32_offset] [--tokens 1,2,4,8,16]
//   [--rounds N] [--no-peer]
//
// The shapes are those of Llama 3.1 8B. A graph walks through the layers of a stack whose weights are many times larger
// than the L2 cache: each product alone (the same product of every layer), and a layer's four in order, where each
// reads what the one before wrote. "plain" launches wait for each other, "overlap" ones let the next one fetch its
// weights. Random weights and activations of about the real spread; floor = cost().bytes / copy bandwidth.
#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "core/error.h"
#include "decode_stack.h"
#include "gpu_timing.h"
#include "kernels/linear/cuda_matmul.h"
#include "kernels/linear/decode_product.h"

namespace tern::bench {
namespace {

struct Options {
  std::vector<std::string> weights = {"bf16", "fp8_channel", "fp8_block", "w4", "w4_block32", "w4_block32_offset"};
  std::vector<std::string> tokens = {"1", "2", "4", "8", "16"};
  int rounds = 30;
  bool peer = true;
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
    if (flag == "--no-peer") {
      options.peer = false;
    } else if (i + 1 < argc && flag == "--weights") {
      options.weights = split(argv[++i]);
    } else if (i + 1 < argc && flag == "--tokens") {
      options.tokens = split(argv[++i]);
    } else if (i + 1 < argc && flag == "--rounds") {
      options.rounds = std::stoi(argv[++i]);
    } else {
      fmt::print(stderr, "decode_product_bench: unknown flag {}\n", flag);
      std::exit(2);
    }
  }
  return options;
}

double cost_bytes(const DecodeProductImpl& impl, int first, int last, int64_t tokens) {
  double bytes = 0;
  for (int i = first; i <= last; ++i)
    bytes += impl.cost({kProducts[i].rows, kProducts[i].cols, impl.weight}, tokens).bytes;
  return bytes;
}

// One line: the products first..last of every layer, microseconds a layer.
void report(const DecodeProductImpl& impl, const Stack& stack, CudaMatmul* peer, int first, int last, int64_t tokens,
            double bandwidth, int rounds, cudaStream_t stream) {
  const auto time = [&](bool overlap) {
    const Sample sample = time_graph(stream, rounds, [&](cudaStream_t s) {
      for (int layer = 0; layer < kLayers; ++layer) {
        for (int i = first; i <= last; ++i) {
          check_cuda(static_cast<cudaError_t>(impl.run(stack.args(layer, i, tokens, overlap), s)), impl.name);
        }
      }
    });
    return Sample{sample.median / kLayers, sample.best / kLayers};
  };
  const Sample plain = time(false), overlap = time(true);
  const double floor = cost_bytes(impl, first, last, tokens) / bandwidth * 1e6;
  std::string beside = "-";
  if (peer != nullptr) {
    const Sample sample = time_graph(stream, rounds, [&](cudaStream_t s) {
      for (int layer = 0; layer < kLayers; ++layer) {
        for (int i = first; i <= last; ++i) {
          const DecodeProductArgs a = stack.args(layer, i, tokens, false);
          peer->run({.rows = a.desc.rows, .cols = a.desc.cols, .tokens = tokens}, {.w = a.weights, .x = a.x, .y = a.y},
                    s);
        }
      }
    });
    beside = fmt::format("{:.1f}", sample.median / kLayers);
  }
  fmt::print("{:<17} {:<8} {:>2}  {:7.1f}  {:7.1f} {:7.1f}  {:5.1f} %  {:7.1f} {:5.1f} %  {:>7}\n", impl.name,
             first == last ? kProducts[first].name : "layer", tokens, floor, plain.median, plain.best,
             100 * floor / plain.median, overlap.median, 100 * floor / overlap.median, beside);
}

int run(const Options& options) {
  if (!test::has_device()) {
    fmt::print(stderr, "decode_product_bench: no CUDA device\n");
    return 3;
  }
  cudaStream_t stream;
  check_cuda(cudaStreamCreate(&stream), "stream");
  std::optional<CudaMatmul> cublaslt;
  try {
    cublaslt.emplace();
  } catch (const Error& missing) {
    fmt::print("{}\n", missing.what());
  }
  double bandwidth = 0;
  {
    const DeviceMemory memory(4ull << 30);
    std::vector<std::byte> pattern = pattern_of(DecodeWeight::kBf16);
    for (size_t at = 0; at < memory.bytes(); at += pattern.size()) {
      const size_t piece = std::min(pattern.size(), memory.bytes() - at);
      check_cuda(cudaMemcpy(memory.data() + at, pattern.data(), piece, cudaMemcpyHostToDevice), "fill");
    }
    bandwidth = copy_bandwidth(stream, memory);
  }
  cudaDeviceProp device;
  check_cuda(cudaGetDeviceProperties(&device, 0), "properties");
  fmt::print("{}, copy {:.0f} GB/s; microseconds a product, median of {} rounds\n", device.name, bandwidth * 1e-9,
             options.rounds);
  fmt::print("{:<17} {:<8} {:>2}  {:>7}  {:>7} {:>7}  {:>7}  {:>7} {:>7}  {:>7}\n", "kernel", "product", "M", "floor",
             "plain", "best", "share", "overlap", "share", "cublas");
  for (int i = 0; i < kDecodeProductSm90.count; ++i) {
    const DecodeProductImpl& impl = kDecodeProductSm90.rows[i];
    const std::string name = std::string(impl.name).substr(5);  // behind "sm90_"
    if (std::find(options.weights.begin(), options.weights.end(), name) == options.weights.end()) continue;
    const Stack stack(impl.weight);
    CudaMatmul* peer = options.peer && impl.weight == DecodeWeight::kBf16 && cublaslt ? &*cublaslt : nullptr;
    for (const std::string& tokens : options.tokens) {
      for (int p = 0; p < 4; ++p) {
        report(impl, stack, peer, p, p, std::stoll(tokens), bandwidth, options.rounds, stream);
      }
      report(impl, stack, peer, 0, 3, std::stoll(tokens), bandwidth, options.rounds, stream);
    }
  }
  cudaStreamDestroy(stream);
  return 0;
}

}  // namespace
}  // namespace tern::bench

int main(int argc, char** argv) { return tern::bench::run(tern::bench::parse(argc, argv)); }
