// Launches of small kernels that may begin while the one before still ends: on Hopper, in machine code made for it. A
// kernel calls after_previous_launch() before it touches what other launches write, or read.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace tern::launch {

// The next launch may begin as soon as all blocks have come here; this one goes on when the one before is complete.
__device__ inline void after_previous_launch() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Whether `kernel` was compiled with the instructions that the overlap needs, and does not come from PTX for Ampere.
template <typename Kernel>
bool can_overlap(Kernel kernel) {
  cudaFuncAttributes attributes = {};
  return cudaFuncGetAttributes(&attributes, kernel) == cudaSuccess && attributes.ptxVersion >= 90;
}

// Kernels of one signature are built with the same flags: what one can do, all can.
template <typename... Params, typename... Args>
int run(void (*kernel)(Params...), dim3 grid, dim3 block, bool overlap, void* stream, const Args&... args) {
  if (grid.x == 0 || grid.y == 0) return cudaSuccess;
  static const bool possible = can_overlap(kernel);
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.stream = static_cast<cudaStream_t>(stream);
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &attribute;
  config.numAttrs = overlap && possible ? 1 : 0;
  return cudaLaunchKernelEx(&config, kernel, Params(args)...);
}

}  // namespace tern::launch
