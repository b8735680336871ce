// Times on a GPU: a sequence of launches captured once and replayed, and the machine's copy bandwidth in the same run.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <vector>

#include "support/device_memory.h"

namespace tern::bench {

using test::check_cuda;
using test::DeviceMemory;

class Events {
 public:
  Events() {
    check_cuda(cudaEventCreate(&begin_), "event");
    check_cuda(cudaEventCreate(&end_), "event");
  }
  ~Events() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;
  template <typename Work>
  double microseconds(cudaStream_t stream, const Work& work) {
    check_cuda(cudaEventRecord(begin_, stream), "record");
    work();
    check_cuda(cudaEventRecord(end_, stream), "record");
    check_cuda(cudaEventSynchronize(end_), "synchronize");
    float milliseconds = 0;
    check_cuda(cudaEventElapsedTime(&milliseconds, begin_, end_), "elapsed");
    return 1000.0 * milliseconds;
  }

 private:
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

struct Sample {
  double median, best;
  double worst = 0;
};

inline Sample sample_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values[values.size() / 2], values[0], values.back()};
}

// Microseconds of one replay of what `enqueue(stream)` captures. `replays` are timed in rounds of four after a warm-up.
template <typename Enqueue>
Sample time_graph(cudaStream_t stream, int rounds, const Enqueue& enqueue) {
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
  enqueue(stream);
  check_cuda(cudaStreamEndCapture(stream, &graph), "end of capture");
  check_cuda(cudaGraphInstantiate(&executable, graph, 0), "instantiate");
  for (int i = 0; i < 3; ++i) check_cuda(cudaGraphLaunch(executable, stream), "launch");
  check_cuda(cudaStreamSynchronize(stream), "synchronize");
  Events events;
  std::vector<double> times;
  for (int i = 0; i < rounds; ++i) {
    times.push_back(events.microseconds(stream, [&] {
      for (int j = 0; j < 4; ++j) check_cuda(cudaGraphLaunch(executable, stream), "launch");
    }) / 4);
  }
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
  return sample_of(times);
}

// Bytes a second of a device-to-device copy, read and written counted.
inline double copy_bandwidth(cudaStream_t stream, const DeviceMemory& memory) {
  const size_t half = std::min<size_t>(memory.bytes() / 2, 2ull << 30);
  Events events;
  std::vector<double> times;
  for (int i = 0; i < 12; ++i) {
    times.push_back(events.microseconds(stream, [&] {
      check_cuda(cudaMemcpyAsync(memory.data() + half, memory.data(), half, cudaMemcpyDeviceToDevice, stream), "copy");
    }));
  }
  return 2e6 * static_cast<double>(half) / sample_of(times).median;
}

}  // namespace tern::bench
