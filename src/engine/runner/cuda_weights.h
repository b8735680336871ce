// The weights of a program in device memory: matrices as bf16, decoded from whatever the file has, norms and biases as
// f32. What two ops use is there once.
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
#include "model/weights.h"

namespace tern {

class CudaWeights {
 public:
  CudaWeights(const WeightMap& weights, ThreadPool& pool, void* stream);
  // bf16 [sum of rows, cols], the parts one below the other.
  const std::byte* matrix(std::span<const WeightUse> parts);
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
  void upload(const TensorInfo& tensor, std::byte* to);

  const WeightMap& weights_;
  ThreadPool& pool_;
  void* stream_;
  std::array<Staging, 2> staging_;
  size_t turn_ = 0;
  std::map<std::string, std::byte*> matrices_;
  std::vector<CudaMemory> memory_;
  uint64_t bytes_ = 0;
};

}  // namespace tern
