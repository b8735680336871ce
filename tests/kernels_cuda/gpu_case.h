// Of tests of small kernels: skipped where there is no GPU, with random inputs and a wait behind each launch.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

#include "core/half.h"
#include "support/device_memory.h"

namespace tern::test {

class GpuCase : public testing::Test {
 protected:
  explicit GpuCase(uint32_t seed) : random_(seed) {}
  void SetUp() override {
    if (!has_device()) GTEST_SKIP() << "no GPU";
  }
  std::vector<float> floats(int64_t count) {
    std::normal_distribution<float> normal;
    std::vector<float> out(static_cast<size_t>(count));
    for (float& value : out) value = normal(random_);
    return out;
  }
  std::vector<uint16_t> halves(int64_t count) {
    std::vector<uint16_t> out;
    for (float value : floats(count)) out.push_back(bf16_from_f32(value));
    return out;
  }
  std::mt19937 random_;
};

// The launch was taken and has run.
inline void done(int error) {
  ASSERT_EQ(error, cudaSuccess) << cudaGetErrorString(static_cast<cudaError_t>(error));
  check_cuda(cudaDeviceSynchronize(), "synchronize");
}

}  // namespace tern::test
