#include "api/device_choice.h"

#include <charconv>

#include "core/error.h"
#include "engine/runner/cuda_runner.h"

namespace tern {

DeviceChoice choose_device(const std::string& text) {
  if (text == "cpu") return {};
  std::string reason;
  if (text == "auto") return {.gpu = count_gpus(&reason) > 0 ? 0 : -1};
  const std::string kind = "cuda";
  int index = 0;
  bool known = text == kind;
  if (text.size() > kind.size() + 1 && text.compare(0, kind.size() + 1, kind + ":") == 0) {
    const char* end = text.data() + text.size();
    const auto [last, error] = std::from_chars(text.data() + kind.size() + 1, end, index);
    known = error == std::errc() && last == end && index >= 0;
  }
  if (!known) bad_input("[options] --device \"" + printable(text) + "\" is none of auto, cpu, cuda, cuda:N");
  const int count = count_gpus(&reason);
  if (count == 0) fail(ErrorCode::kResource, "[cuda] no GPU can be used: " + reason);
  if (index >= count) {
    fail(ErrorCode::kResource,
         "[cuda] there is no device " + std::to_string(index) + " among " + std::to_string(count));
  }
  return {.gpu = index};
}

PowerMeter power_meter(const DeviceChoice& device) {
  return device.on_gpu() ? PowerMeter::of_gpu(gpu_pci_bus_id(device.gpu)) : PowerMeter::of_cpu();
}

}  // namespace tern
