// Stands in for the CUDA runner in a build without CUDA.
#include "core/error.h"
#include "engine/runner/cuda_runner.h"

namespace tern {

int count_gpus(std::string* reason) {
  *reason = "this tern was built without CUDA (cmake --preset cuda)";
  return 0;
}

std::string gpu_pci_bus_id(int) {
  std::string reason;
  count_gpus(&reason);
  fail(ErrorCode::kResource, "[cuda] no GPU can be used: " + reason);
}

std::unique_ptr<Runner> make_cuda_runner(std::shared_ptr<const Checkpoint>, const ModelConfig&, const Program&,
                                         const RunnerOptions&, const CudaOptions&) {
  std::string reason;
  count_gpus(&reason);
  fail(ErrorCode::kResource, "[cuda] no GPU can be used: " + reason);
}

std::optional<GpuReport> gpu_report(const Runner&) { return std::nullopt; }

int64_t gpu_layers_that_fit(const Checkpoint&, const Program&, const RunnerOptions&, const CudaOptions&) { return 0; }

}  // namespace tern
