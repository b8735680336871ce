#include "device/cuda_device.h"

#include <cuda_runtime.h>
#include <fmt/core.h>

#include "core/error.h"

namespace tern {
namespace {

// Modules, cuBLASLt's own.
constexpr uint64_t kSpareBytes = 512ull << 20;
constexpr int kOldest = 80;  // Ampere: bf16 arithmetic and asynchronous copies

cudaStream_t as_stream(void* stream) { return static_cast<cudaStream_t>(stream); }

[[noreturn]] void fail_memory(cudaError_t error, uint64_t bytes, const char* what) {
  if (error != cudaErrorMemoryAllocation) check_cuda(error, what);
  cudaGetLastError();  // not the next call's
  size_t free = 0, total = 0;
  cudaMemGetInfo(&free, &total);
  fail(ErrorCode::kResource,
       fmt::format("[cuda] {} needs {:.1f} GB, {:.1f} of {:.1f} GB are free: a smaller --max-model-len, --max-num-seqs "
                   "or model helps",
                   what, static_cast<double>(bytes) / 1e9, static_cast<double>(free) / 1e9,
                   static_cast<double>(total) / 1e9));
}

}  // namespace

void check_cuda(int error, const char* what) {
  const auto code = static_cast<cudaError_t>(error);
  if (code == cudaSuccess) return;
  fail(ErrorCode::kDevice, fmt::format("[cuda] {}: {} ({})", what, cudaGetErrorName(code), cudaGetErrorString(code)));
}

int count_cuda_devices(std::string* reason) {
  int count = 0, driver = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return count;
  cudaDriverGetVersion(&driver);
  cudaGetLastError();
  if (driver == 0) {
    *reason = "no NVIDIA driver is installed";
  } else if (error == cudaErrorInsufficientDriver) {
    *reason = fmt::format("the NVIDIA driver knows CUDA {}.{}, tern needs {}.{}", driver / 1000, driver % 1000 / 10,
                          CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
  } else {
    *reason = error == cudaSuccess ? "the driver finds no GPU" : cudaGetErrorString(error);
  }
  return 0;
}

std::string cuda_pci_bus_id(int index) {
  char address[32] = {};
  check_cuda(cudaDeviceGetPCIBusId(address, sizeof address, index), "the device's address");
  return address;
}

CudaDevice::CudaDevice(int index) {
  std::string reason;
  const int count = count_cuda_devices(&reason);
  if (count == 0) fail(ErrorCode::kResource, "[cuda] no GPU can be used: " + reason);
  if (index >= count) fail(ErrorCode::kResource, fmt::format("[cuda] there is no device {}, only {}", index, count));
  cudaDeviceProp properties = {};
  check_cuda(cudaGetDeviceProperties(&properties, index), "properties of the device");
  name_ = properties.name;
  capability_ = properties.major * 10 + properties.minor;
  total_bytes_ = properties.totalGlobalMem;
  if (capability_ < kOldest) {
    fail(ErrorCode::kResource, fmt::format("[cuda] {} has compute capability {}.{}, tern needs 8.0", name_,
                                           properties.major, properties.minor));
  }
  check_cuda(cudaSetDevice(index), "choosing the device");
  cudaStream_t stream = nullptr;
  check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream");
  stream_ = stream;
}

CudaDevice::~CudaDevice() {
  if (stream_ != nullptr) cudaStreamDestroy(as_stream(stream_));
}

uint64_t CudaDevice::free_of_share(double share) const {
  const auto allowed = static_cast<uint64_t>(share * static_cast<double>(total_bytes_));
  const uint64_t used = total_bytes_ - free_bytes() + kSpareBytes;
  return allowed > used ? allowed - used : 0;
}

uint64_t CudaDevice::free_bytes() const {
  size_t free = 0, total = 0;
  check_cuda(cudaMemGetInfo(&free, &total), "free memory");
  return free;
}

void CudaDevice::drain() const noexcept { cudaStreamSynchronize(as_stream(stream_)); }

void CudaDevice::synchronize() const { check_cuda(cudaStreamSynchronize(as_stream(stream_)), "running a step"); }

CudaMemory::CudaMemory(uint64_t bytes, const char* what) {
  if (bytes == 0) return;
  void* data = nullptr;
  const cudaError_t error = cudaMalloc(&data, bytes);
  if (error != cudaSuccess) fail_memory(error, bytes, what);
  data_ = static_cast<std::byte*>(data);
  bytes_ = bytes;
  check_cuda(cudaMemset(data, 0, bytes), what);
}

CudaMemory::~CudaMemory() {
  if (data_ != nullptr) cudaFree(data_);
}

PinnedMemory::PinnedMemory(uint64_t bytes, const char* what) {
  if (bytes == 0) return;
  void* data = nullptr;
  const cudaError_t error = cudaMallocHost(&data, bytes);
  if (error != cudaSuccess) {
    cudaGetLastError();
    fail(ErrorCode::kResource, fmt::format("[cuda] {}: {:.1f} MB of pinned host memory: {}", what,
                                           static_cast<double>(bytes) / 1e6, cudaGetErrorString(error)));
  }
  data_ = static_cast<std::byte*>(data);
  bytes_ = bytes;
}

PinnedMemory::~PinnedMemory() {
  if (data_ != nullptr) cudaFreeHost(data_);
}

void copy_to_device(std::byte* to, const void* from, uint64_t bytes, void* stream) {
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, as_stream(stream)), "copy to the device");
}

void copy_to_host(void* to, const std::byte* from, uint64_t bytes, void* stream) {
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, as_stream(stream)), "copy from the device");
}

void copy_on_device(std::byte* to, const std::byte* from, uint64_t bytes, void* stream) {
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, as_stream(stream)), "copy on the device");
}

CudaEvent::CudaEvent(Kind kind) {
  cudaEvent_t event = nullptr;
  const unsigned flags = kind == Kind::kTimed ? cudaEventDefault : cudaEventDisableTiming;
  check_cuda(cudaEventCreateWithFlags(&event, flags), "an event");
  event_ = event;
}

CudaEvent::~CudaEvent() { cudaEventDestroy(static_cast<cudaEvent_t>(event_)); }

void CudaEvent::record(void* stream) {
  check_cuda(cudaEventRecord(static_cast<cudaEvent_t>(event_), as_stream(stream)), "an event");
}

void CudaEvent::wait() const { check_cuda(cudaEventSynchronize(static_cast<cudaEvent_t>(event_)), "an event"); }

double CudaEvent::us_since(const CudaEvent& earlier) const {
  float ms = 0;
  check_cuda(cudaEventElapsedTime(&ms, static_cast<cudaEvent_t>(earlier.event_), static_cast<cudaEvent_t>(event_)),
             "time between events");
  return static_cast<double>(ms) * 1e3;
}

CudaGraph::~CudaGraph() {
  if (executable_ != nullptr) cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(executable_));
}

void CudaGraph::begin(void* stream) {
  check_cuda(cudaStreamBeginCapture(as_stream(stream), cudaStreamCaptureModeThreadLocal), "capturing a step");
}

void CudaGraph::end(void* stream) {
  cudaGraph_t graph = nullptr;
  check_cuda(cudaStreamEndCapture(as_stream(stream), &graph), "capturing a step");
  cudaGraphExec_t executable = nullptr;
  const cudaError_t error = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  check_cuda(error, "a captured step");
  executable_ = executable;
}

void CudaGraph::launch(void* stream) const {
  check_cuda(cudaGraphLaunch(static_cast<cudaGraphExec_t>(executable_), as_stream(stream)), "running a captured step");
}

}  // namespace tern
