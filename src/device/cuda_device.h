// A CUDA device: finding one, its memory, its stream, captured launches. Streams are void* (cudaStream_t), so that
// files without CUDA's headers may hold them. Only in builds with CUDA.
//
// Errors are Error{kResource} for memory, with what was needed and what is free, and Error{kDevice} for all else.
// Owners are movable and free what they own. One thread a device at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace tern {

// Throws Error{kDevice}: "[cuda] WHAT: the error's name and meaning", where `error` (a cudaError_t) is one.
void check_cuda(int error, const char* what);

// How many devices this process may use; 0: `reason` says why.
int count_cuda_devices(std::string* reason);

// "0000:01:00.0": what other libraries know device `index` by. Makes no context.
std::string cuda_pci_bus_id(int index);

class CudaDevice {
 public:
  // Makes device `index` the calling thread's; throws when there is none, or it is older than Ampere.
  explicit CudaDevice(int index);
  ~CudaDevice();
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;

  const std::string& name() const { return name_; }
  int capability() const { return capability_; }  // 90: Hopper
  uint64_t total_bytes() const { return total_bytes_; }
  uint64_t free_bytes() const;
  // Of the given share of all memory what is not in use, less what driver and libraries may take later.
  uint64_t free_of_share(double share) const;
  void* stream() const { return stream_; }
  void synchronize() const;
  // The same before memory is given back, even where the device has failed.
  void drain() const noexcept;

 private:
  std::string name_;
  int capability_ = 0;
  uint64_t total_bytes_ = 0;
  void* stream_ = nullptr;
};

// Memory of the current device, zeroed, aligned to 256 bytes.
class CudaMemory {
 public:
  CudaMemory() = default;
  CudaMemory(uint64_t bytes, const char* what);
  ~CudaMemory();
  CudaMemory(CudaMemory&& other) noexcept { swap(other); }
  CudaMemory& operator=(CudaMemory&& other) noexcept {
    swap(other);
    return *this;
  }
  std::byte* data() const { return data_; }
  uint64_t bytes() const { return bytes_; }

 private:
  void swap(CudaMemory& other) {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }
  std::byte* data_ = nullptr;
  uint64_t bytes_ = 0;
};

// Host memory that the device copies from and to by itself.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  PinnedMemory(uint64_t bytes, const char* what);
  ~PinnedMemory();
  PinnedMemory(PinnedMemory&& other) noexcept { swap(other); }
  PinnedMemory& operator=(PinnedMemory&& other) noexcept {
    swap(other);
    return *this;
  }
  std::byte* data() const { return data_; }
  uint64_t bytes() const { return bytes_; }

 private:
  void swap(PinnedMemory& other) {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }
  std::byte* data_ = nullptr;
  uint64_t bytes_ = 0;
};

// Enqueue a copy; host memory should be pinned, or the call waits.
void copy_to_device(std::byte* to, const void* from, uint64_t bytes, void* stream);
void copy_to_host(void* to, const std::byte* from, uint64_t bytes, void* stream);
void copy_on_device(std::byte* to, const std::byte* from, uint64_t bytes, void* stream);

// A point of a stream that a host thread can wait for.
class CudaEvent {
 public:
  enum class Kind : uint8_t { kPlain, kTimed };
  explicit CudaEvent(Kind kind = Kind::kPlain);
  ~CudaEvent();
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;
  void record(void* stream);
  void wait() const;  // returns at once when it was never recorded
  // Device time between two timed events, both of which have been reached.
  double us_since(const CudaEvent& earlier) const;

 private:
  void* event_ = nullptr;
};

// What was enqueued between begin() and end(), to be enqueued again as one.
class CudaGraph {
 public:
  CudaGraph() = default;
  ~CudaGraph();
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;
  bool ready() const { return executable_ != nullptr; }
  static void begin(void* stream);
  void end(void* stream);
  void launch(void* stream) const;

 private:
  void* executable_ = nullptr;
};

}  // namespace tern
