// The weights of a stack of layers with the shapes of Llama 3.1 8B, for timing products that come from memory: many
// times larger than the L2 cache, random, of about the real spread.
#pragma once

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "core/half.h"
#include "kernels/linear/decode_product.h"
#include "kernels/linear/w4_block32.h"
#include "support/device_memory.h"

namespace tern::bench {

using test::check_cuda;
using test::DeviceMemory;

struct Product {
  const char* name;
  int64_t rows, cols;
};
inline constexpr Product kProducts[] = {
    {"qkv", 6144, 4096}, {"o", 4096, 4096}, {"gate_up", 28672, 4096}, {"down", 4096, 14336}};
inline constexpr int kLayers = 8;
constexpr int64_t kMaxFeatures = 28672;
constexpr size_t kPatternBytes = 45 * (2ull << 20);  // whole blocks of any format, some have 9 or 5 times 128 bytes

inline bool is_block32(DecodeWeight weight) {
  return weight == DecodeWeight::kW4Block32 || weight == DecodeWeight::kW4Block32Offset;
}

inline size_t weight_bytes(const DecodeProductDesc& desc) {
  if (desc.weight == DecodeWeight::kW4) return static_cast<size_t>(w4::packed_bytes(desc.rows, desc.cols));
  if (is_block32(desc.weight)) {
    return static_cast<size_t>(w4::block32_bytes(desc.rows, desc.cols, desc.weight == DecodeWeight::kW4Block32Offset));
  }
  return static_cast<size_t>(desc.rows * desc.cols * (desc.weight == DecodeWeight::kBf16 ? 2 : 1));
}

// Random bytes that are weights of the format wherever a matrix begins in them; 4-bit codes without scales.
inline std::vector<std::byte> pattern_of(DecodeWeight weight) {
  std::mt19937 random(1);
  std::vector<std::byte> bytes(kPatternBytes);
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
  } else if (is_block32(weight)) {
    const auto stride = static_cast<size_t>(w4::block32_stride(weight == DecodeWeight::kW4Block32Offset));
    for (size_t block = 0; block + stride <= bytes.size(); block += stride) {
      for (size_t i = w4::kCodeBytes; i < stride; i += 2) {
        const uint16_t scale = f16_from_f32(0.0017f + 3e-6f * static_cast<float>((block + i) % 1024));
        std::memcpy(&bytes[block + i], &scale, 2);
      }
    }
  } else if (weight != DecodeWeight::kW4) {
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
        if (weight == DecodeWeight::kW4) fill_scales(product, matrices_.back());
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
  // The scales of 4-bit weights: about 0.0034, so that weights spread by 1 / sqrt(4096).
  static void fill_scales(const Product& product, const DeviceMemory& matrix) {
    const auto begin = static_cast<size_t>(w4::scales_offset(product.rows, product.cols));
    std::vector<uint16_t> scales((matrix.bytes() - begin) / 2);
    for (size_t i = 0; i < scales.size(); ++i)
      scales[i] = f16_from_f32(0.0017f + 3e-6f * static_cast<float>(i * 37 % 1024));
    check_cuda(cudaMemcpy(matrix.data() + begin, scales.data(), scales.size() * 2, cudaMemcpyHostToDevice), "scales");
  }

  DecodeWeight weight_;
  std::vector<DeviceMemory> matrices_, rows_, scales_;
};

}  // namespace tern::bench
