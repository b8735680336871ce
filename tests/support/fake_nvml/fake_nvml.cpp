// A library of NVML's names with one GPU, at 0000:01:00.0, whose counter goes up by 2500 mJ each time it is read.
#include <cstring>

namespace {
int g_gpu = 0;
unsigned long long g_millijoules = 0;  // NOLINT(google-runtime-int): NVML's type
bool g_started = false;
}  // namespace

#pragma GCC visibility push(default)  // the build hides what does not ask
extern "C" {

int nvmlInit_v2() {
  g_started = true;
  return 0;
}

int nvmlShutdown() {
  g_started = false;
  return 0;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char* address, void** device) {
  if (!g_started) return 1;
  if (std::strcmp(address, "0000:01:00.0") != 0) return 6;
  *device = &g_gpu;
  return 0;
}

int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* millijoules) {  // NOLINT(google-runtime-int)
  if (!g_started || device != &g_gpu) return 1;
  *millijoules = g_millijoules += 2500;
  return 0;
}

}  // extern "C"
#pragma GCC visibility pop
