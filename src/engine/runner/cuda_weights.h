// The weights of a program in device memory: matrices as bf16 decoded from whatever the file has, as e4m3 made from
// that or as the file's own, or as the file's 4-bit codes in another order; norms and biases as f32. What two ops use
// is there once.
//
// Loading reads the checkpoint through two pinned buffers: workers decode into one while the other is copied. Engine
// thread only.
#pragma once

#include <array>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "device/cuda_device.h"
#include "kernels/linear/decode_product.h"
#include "model/weights.h"

namespace tern {

inline bool is_w4(DecodeWeight weight) {
  return weight == DecodeWeight::kW4Block32 || weight == DecodeWeight::kW4Block32Offset;
}

// A matrix as products read it.
struct CudaMatrix {
  DecodeWeight weight = DecodeWeight::kBf16;  // kBf16, kFp8Channel, kFp8Block, kW4Block32, kW4Block32Offset
  std::byte* data = nullptr;
  float* scales = nullptr;  // of kFp8Channel, one a row; of kFp8Block, one for 128 x 128
  uint64_t bytes = 0;       // of both
};

// Of a matrix kept so, with its scales.
uint64_t cuda_matrix_bytes(int64_t rows, int64_t cols, DecodeWeight as);

class CudaWeights {
 public:
  CudaWeights(const WeightMap& weights, ThreadPool& pool, void* stream);
  // [sum of rows, cols], the parts one below the other; kW4Block32 takes parts that are Q4_0 (with
  // offsets: also U4_ZERO or Q4_K) and whole tiles of rows; kFp8Block takes F8_E4M3 whose scales reach as far, all
  // parts but the last of whole blocks.
  CudaMatrix matrix(std::span<const WeightUse> parts, DecodeWeight as = DecodeWeight::kBf16);
  // bf16 [experts, sum of rows, cols]: the parts of each expert one below the other.
  CudaMatrix experts(std::span<const WeightUse> parts);
  const float* vector(const WeightUse& use);
  // f32, one value a row of the parts; null where no part has a bias.
  const float* biases(std::span<const WeightUse> biases, std::span<const WeightUse> parts);
  // f32, for tables that are no weights.
  const float* floats(std::span<const float> values, const char* what);
  // Until all copies are made; gives the pinned buffers back.
  void finish();
  uint64_t bytes() const { return bytes_; }

 private:
  struct Staging {
    PinnedMemory memory;
    CudaEvent copied;
  };
  std::byte* reserve(uint64_t bytes, const char* what);
  CudaMatrix reserve_matrix(int64_t rows, int64_t cols, DecodeWeight as);
  void upload(const TensorInfo& tensor, int64_t first_row, const CudaMatrix& to);
  void send(const TensorInfo& tensor, int64_t begin, int64_t end, int64_t first_row, const CudaMatrix& to);
  void send_scales(const TensorInfo& tensor, int64_t first_row, const CudaMatrix& to);
  void send_fp8(const std::byte* rows, int64_t count, int64_t cols, int64_t at_row, const CudaMatrix& to);

  const WeightMap& weights_;
  ThreadPool& pool_;
  void* stream_;
  std::array<Staging, 2> staging_;
  size_t turn_ = 0;
  CudaMemory rounding_;  // bf16 rows on their way to e4m3
  std::map<std::pair<std::string, DecodeWeight>, CudaMatrix> matrices_;
  std::vector<CudaMemory> memory_;
  uint64_t bytes_ = 0;
};

}  // namespace tern
