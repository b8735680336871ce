// The runner of one NVIDIA GPU, Ampere or later: weights and KV cache in its memory. In a build without CUDA
// there is none, which count_gpus() says.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "engine/runner/runner.h"

namespace tern {

// What the weights of products are kept as. The embedding and what makes logits stay bf16.
enum class GpuQuantization : uint8_t {
  kAuto,  // as in the file where kernels compute on that (Q4_0, U4_ZERO, Q4_K, F8_E4M3), else as kNone
  kNone,  // bf16, decoded from whatever the file has
  kFp8,   // e4m3 with one scale an output feature, made from whatever the file has
};

struct CudaOptions {
  int device = 0;
  double memory_share = 0.9;  // of the device's memory, for everything
  bool graphs = true;         // decoding steps are captured once and replayed
  bool fusions = true;        // products of few tokens do what stands around them (gpu_fusions.h)
  // One product and one attention kernel for every number of tokens, so that a token's bits depend on its sequence
  // alone. Weights of 4 bits, and of FP8 with a scale for 128 x 128, become bf16; there are no fusions.
  bool deterministic = false;

  bool fuses() const { return fusions && !deterministic; }
  GpuQuantization quantization = GpuQuantization::kAuto;
};

// How many GPUs this process may use; 0: `reason` says why.
int count_gpus(std::string* reason);

// The PCI address of one of them.
std::string gpu_pci_bus_id(int device);

// `lowered` without prologues and epilogues. RunnerOptions::kv_tokens is an upper bound: the cache takes what memory is
// left. Throws Error{kResource} where there is no such device, library or memory, else as make_cpu_runner().
std::unique_ptr<Runner> make_cuda_runner(std::shared_ptr<const Checkpoint> checkpoint, const ModelConfig& config,
                                         const Program& lowered, const RunnerOptions& options, const CudaOptions& cuda);

// What a GPU's runner knows of its start and its steps.
struct GpuReport {
  uint64_t weight_bytes = 0;          // on the device
  double weights_s = 0;               // of the start, for these: read, decoded, copied
  double others_s = 0;                // of the start, for the rest: the device's context, libraries, the cache
  std::optional<double> step_gap_us;  // between two steps on the device, median of the last 200 (cuda_gaps.h)
};

// Nothing of runners that are not one GPU's.
std::optional<GpuReport> gpu_report(const Runner& runner);

// How many of the model's last layers, with the head, a GPU's memory takes together with a cache of
// RunnerOptions::kv_tokens for them, or of one sequence where that is less; 0: none.
int64_t gpu_layers_that_fit(const Checkpoint& checkpoint, const Program& source, const RunnerOptions& options,
                            const CudaOptions& cuda);

}  // namespace tern
