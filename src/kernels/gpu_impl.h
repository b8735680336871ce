// What one implementation of a small operation on a GPU exports. Plain: CUDA files include this.
//
// The residual stream is f32; every other activation is bf16, logits f32. All pointers in arguments are device memory,
// rows are dense where no stride is given, and a count of zero is no launch. Any thread, one stream at a time.
#pragma once

namespace tern {

template <typename Args>
struct GpuImpl {
  const char* name;  // "sm80"
  // Enqueues on `stream` (a cudaStream_t); returns a cudaError_t as int, 0 for success.
  int (*run)(const Args&, void* stream);
};

}  // namespace tern
