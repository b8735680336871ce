#include "device/power_meter.h"

#include <dlfcn.h>

#include <filesystem>
#include <fstream>
#include <utility>

namespace tern {
namespace {

std::optional<uint64_t> read_number(const std::string& path) {
  std::ifstream file(path);
  uint64_t value = 0;
  if (!(file >> value)) return std::nullopt;
  return value;
}

// "intel-rapl:0" is a package (on AMD too); "intel-rapl:0:0" a part of one, counted in it already.
bool is_package(const std::string& name) {
  const std::string prefix = "intel-rapl:";
  return name.compare(0, prefix.size(), prefix) == 0 && name.find(':', prefix.size()) == std::string::npos;
}

}  // namespace

// The few names of NVML's documented C interface that are needed; every function returns 0 for success.
struct PowerMeter::Nvml {
  void* library = nullptr;
  void* device = nullptr;
  bool started = false;
  int (*energy)(void*, unsigned long long*) = nullptr;  // NOLINT(google-runtime-int): NVML's type; mJ

  Nvml() = default;
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;
  ~Nvml() {
    if (started) {
      if (auto* shutdown = symbol<int (*)()>("nvmlShutdown")) shutdown();
    }
    if (library != nullptr) dlclose(library);
  }

  template <typename Function>
  Function symbol(const char* name) const {
    return reinterpret_cast<Function>(dlsym(library, name));
  }

  // Why it does not work; empty: it does.
  std::string open(const std::string& pci_bus_id, const char* name) {
    library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return std::string("there is no ") + name;
    const auto init = symbol<int (*)()>("nvmlInit_v2");
    const auto find = symbol<int (*)(const char*, void**)>("nvmlDeviceGetHandleByPciBusId_v2");
    energy = symbol<decltype(energy)>("nvmlDeviceGetTotalEnergyConsumption");
    if (init == nullptr || find == nullptr || energy == nullptr) return std::string(name) + " lacks functions";
    if (const int error = init(); error != 0) return "NVML does not start: error " + std::to_string(error);
    started = true;
    if (const int error = find(pci_bus_id.c_str(), &device); error != 0) {
      return "NVML does not know the GPU at " + pci_bus_id + ": error " + std::to_string(error);
    }
    unsigned long long millijoules = 0;  // NOLINT(google-runtime-int)
    if (const int error = energy(device, &millijoules); error != 0) {
      return "the GPU has no energy counter: error " + std::to_string(error);
    }
    return "";
  }
};

PowerMeter PowerMeter::unavailable(std::string reason) {
  PowerMeter meter;
  meter.description_ = std::move(reason);
  return meter;
}

PowerMeter PowerMeter::of_cpu(const std::string& powercap) {
  PowerMeter meter;
  bool found = false;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(powercap, error)) {
    if (!is_package(entry.path().filename().string())) continue;
    found = true;
    Package package;
    package.path = (entry.path() / "energy_uj").string();
    const auto now = read_number(package.path);
    const auto range = read_number((entry.path() / "max_energy_range_uj").string());
    // The energy of some packages would pass for that of all.
    if (!now || !range) return unavailable(package.path + " cannot be read");
    package.last = *now;
    package.range = *range;
    meter.packages_.push_back(std::move(package));
  }
  if (!found) return unavailable("no RAPL under " + powercap);
  meter.description_ = "RAPL";
  return meter;
}

PowerMeter PowerMeter::of_gpu(const std::string& pci_bus_id, const char* library) {
  auto nvml = std::make_shared<Nvml>();
  std::string reason = nvml->open(pci_bus_id, library);
  if (!reason.empty()) return unavailable(std::move(reason));
  PowerMeter meter;
  meter.description_ = "NVML";
  meter.nvml_ = std::move(nvml);
  return meter;
}

std::optional<double> PowerMeter::joules() {
  if (nvml_ != nullptr) {
    unsigned long long millijoules = 0;  // NOLINT(google-runtime-int)
    if (nvml_->energy(nvml_->device, &millijoules) != 0) return std::nullopt;
    return static_cast<double>(millijoules) / 1e3;
  }
  if (packages_.empty()) return std::nullopt;
  uint64_t sum = 0;
  for (Package& package : packages_) {
    const auto now = read_number(package.path);
    if (!now) return std::nullopt;
    package.sum += *now >= package.last ? *now - package.last : package.range - package.last + *now;
    package.last = *now;
    sum += package.sum;
  }
  return static_cast<double>(sum) / 1e6;
}

}  // namespace tern
