// Energy that a device has taken, from the counters the machine has: RAPL for processors, NVML for a GPU.
//
// NVML is loaded by soname, so this is in every build and asks for no header of CUDA's. A machine without a counter, or
// one that a user may not read, has a meter that says why. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tern {

class PowerMeter {
 public:
  // All processor packages together, with what is on them.
  static PowerMeter of_cpu(const std::string& powercap = "/sys/class/powercap");
  // The GPU at a PCI address, which is what CUDA and NVML both call it by: their numbers differ.
  static PowerMeter of_gpu(const std::string& pci_bus_id, const char* library = "libnvidia-ml.so.1");
  static PowerMeter unavailable(std::string reason);

  // What was read, "RAPL" or "NVML"; of a meter without a counter, why there is none.
  const std::string& description() const { return description_; }
  // Since an arbitrary beginning; to be asked at least once in the minutes in which a RAPL counter comes round.
  std::optional<double> joules();

 private:
  struct Package {
    std::string path;
    uint64_t range = 0, last = 0, sum = 0;  // µJ
  };
  struct Nvml;

  std::string description_;
  std::vector<Package> packages_;
  std::shared_ptr<Nvml> nvml_;
};

}  // namespace tern
