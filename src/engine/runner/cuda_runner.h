// The runner of one NVIDIA GPU, Ampere or later: weights in bf16 and the KV cache in bf16 or FP8, in its memory. In a
// build without CUDA there is none, which count_gpus() says.
#pragma once

#include <memory>
#include <string>

#include "engine/runner/runner.h"

namespace tern {

struct CudaOptions {
  int device = 0;
  double memory_share = 0.9;  // of the device's memory, for everything
  bool graphs = true;         // decoding steps are captured once and replayed
};

// How many GPUs this process may use; 0: `reason` says why.
int count_gpus(std::string* reason);

// The PCI address of one of them.
std::string gpu_pci_bus_id(int device);

// `lowered` without prologues and epilogues. RunnerOptions::kv_tokens is an upper bound: the cache takes what memory is
// left. Throws Error{kResource} where there is no such device, library or memory, else as make_cpu_runner().
std::unique_ptr<Runner> make_cuda_runner(std::shared_ptr<const Checkpoint> checkpoint, const ModelConfig& config,
                                         const Program& lowered, const RunnerOptions& options, const CudaOptions& cuda);

}  // namespace tern
