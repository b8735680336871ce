// Times of the decode products beside the copy bandwidth and cuBLASLt's bf16 product, all of one run.
//
//   decode_product_bench [--weights bf16,fp8_channel,fp8_block,w4] [--tokens 1,2,4,8,16] [--rounds N] [--no-peer]
//
// The shapes are those of Llama 3.1 8B. A graph walks through the layers of a stack whose weights are many times larger
// than the L2 cache: each product alone (the same product of every layer), and a layer's four in order, where each
// reads what the one before wrote. "plain" launches wait for each other, "overlap" ones let the next one fetch its
// weights. Random weights and activations of about the real spread; floor = cost().bytes / copy bandwidth.
#include <fmt/core.h>

#include <cstring>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "core/half.h"
#include "cublaslt.h"
#include "gpu_timing.h"
#include "kernels/linear/decode_product.h"
#include "kernels/linear/w4_tiles.h"

namespace tern::bench {
namespace {

struct Product {
  const char* name;
  int64_t rows, cols;
};
constexpr Product kProducts[] = {
    {"qkv", 6144, 4096}, {"o", 4096, 4096}, {"gate_up", 28672, 4096}, {"down", 4096, 14336}};
constexpr int kLayers = 8;
constexpr int64_t kMaxFeatures = 28672;
constexpr size_t kPatternBytes = 64ull << 20;

struct Options {
  std::vector<std::string> weights = {"bf16", "fp8_channel", "fp8_block", "w4"};
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

size_t weight_bytes(const DecodeProductDesc& desc) {
  if (desc.weight == DecodeWeight::kW4) return static_cast<size_t>(w4::packed_bytes(desc.rows, desc.cols));
  return static_cast<size_t>(desc.rows * desc.cols * (desc.weight == DecodeWeight::kBf16 ? 2 : 1));
}

// Bytes that are a matrix of the format wherever a block or a row begins in them.
std::vector<std::byte> pattern_of(DecodeWeight weight) {
  std::mt19937 random(1);
  std::vector<std::byte> bytes(weight == DecodeWeight::kW4 ? kPatternBytes / w4::kBlockBytes * w4::kBlockBytes
                                                           : kPatternBytes);
  for (size_t i = 0; i < bytes.size(); i += 4) {
    const auto bits = static_cast<uint32_t>(random());
    std::memcpy(&bytes[i], &bits, 4);
  }
  if (weight == DecodeWeight::kBf16) {
    for (size_t i = 0; i < bytes.size(); i += 2) {
      uint16_t bits;
      std::memcpy(&bits, &bytes[i], 2);
      bits = bf16_from_f32((static_cast<float>(bits) / 32768 - 1) * 0.027f);  // spread 1 / sqrt(4096)
      std::memcpy(&bytes[i], &bits, 2);
    }
  } else if (weight == DecodeWeight::kW4) {
    for (size_t block = 0; block < bytes.size(); block += w4::kBlockBytes) {
      for (int row = 0; row < 16; ++row) {
        const uint16_t scale = f16_from_f32(0.0034f * (0.5f + static_cast<float>(random() % 1024) / 1024));
        std::memcpy(&bytes[block + w4::kCodeBytes + 2 * static_cast<size_t>(row)], &scale, 2);
      }
    }
  } else {
    for (std::byte& value : bytes) {
      if ((value & std::byte{0x7f}) == std::byte{0x7f}) value ^= std::byte{1};
    }
  }
  return bytes;
}

// The weights of kLayers layers, and activations.
class Stack {
 public:
  explicit Stack(DecodeWeight weight) : weight_(weight) {
    const std::vector<std::byte> pattern = pattern_of(weight);
    const DeviceMemory source(pattern);
    size_t offset = 0;  // so that no two matrices are alike in the same place
    for (int i = 0; i < kLayers; ++i) {
      for (const Product& product : kProducts) {
        const DecodeProductDesc desc = {product.rows, product.cols, weight};
        matrices_.emplace_back(weight_bytes(desc));
        for (size_t done = 0; done < matrices_.back().bytes();) {
          const size_t piece = std::min(matrices_.back().bytes() - done, pattern.size() - offset);
          check_cuda(
              cudaMemcpy(matrices_.back().data() + done, source.data() + offset, piece, cudaMemcpyDeviceToDevice),
              "fill");
          done += piece;
          offset = (offset + piece) % pattern.size();
        }
      }
    }
    std::mt19937 random(2);
    std::normal_distribution<float> normal;
    std::vector<uint16_t> x(static_cast<size_t>(kDecodeProductMaxTokens * kMaxFeatures));
    for (uint16_t& bits : x) bits = bf16_from_f32(normal(random));
    for (int i = 0; i < 5; ++i) rows_.emplace_back(x);
    // fp8: bytes of random bits have a spread of about 100.
    scales_.emplace_back(std::vector<float>(static_cast<size_t>(kMaxFeatures), 0.00015f));
  }

  // Product `index` of layer `layer`, from the activations before it to those behind it.
  DecodeProductArgs args(int layer, int index, int64_t tokens, bool overlap) const {
    const Product& product = kProducts[index];
    return {{product.rows, product.cols, weight_},
            matrices_[static_cast<size_t>(layer * 4 + index)].data(),
            reinterpret_cast<const float*>(scales_[0].data()),
            rows_[static_cast<size_t>(index)].data(),
            kMaxFeatures,
            rows_[static_cast<size_t>(index + 1)].data(),
            kMaxFeatures,
            tokens,
            overlap};
  }
  const DeviceMemory& largest() const { return matrices_[2]; }

 private:
  DecodeWeight weight_;
  std::vector<DeviceMemory> matrices_, rows_, scales_;
};

double cost_bytes(const DecodeProductImpl& impl, int first, int last, int64_t tokens) {
  double bytes = 0;
  for (int i = first; i <= last; ++i)
    bytes += impl.cost({kProducts[i].rows, kProducts[i].cols, impl.weight}, tokens).bytes;
  return bytes;
}

// One line: the products first..last of every layer, microseconds a layer.
void report(const DecodeProductImpl& impl, const Stack& stack, CublasLt* peer, int first, int last, int64_t tokens,
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
          peer->bf16(a.weights, a.x, a.y, a.desc.rows, a.desc.cols, tokens, s);
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
  CublasLt cublaslt;
  if (!cublaslt.available()) fmt::print("cuBLASLt: {}\n", cublaslt.why());
  double bandwidth = 0;
  {
    const DeviceMemory memory(4ull << 30);
    std::vector<std::byte> pattern = pattern_of(DecodeWeight::kBf16);
    for (size_t at = 0; at < memory.bytes(); at += pattern.size()) {
      check_cuda(cudaMemcpy(memory.data() + at, pattern.data(), pattern.size(), cudaMemcpyHostToDevice), "fill");
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
    CublasLt* peer = options.peer && impl.weight == DecodeWeight::kBf16 && cublaslt.available() ? &cublaslt : nullptr;
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
