// Where a model runs: on the CPU or on a GPU of this machine.
#pragma once

#include <string>

#include "device/power_meter.h"

namespace tern {

struct DeviceChoice {
  int gpu = -1;  // -1: the CPU
  bool on_gpu() const { return gpu >= 0; }
};

// "cpu"; "cuda" or "cuda:N", which throws Error{kResource} with the reason where there is no GPU; "auto": the first GPU
// where there is one, else the CPU. Throws bad_input for anything else.
DeviceChoice choose_device(const std::string& text);

// The energy counter of that device alone: a GPU's leaves out what the processor takes beside it.
PowerMeter power_meter(const DeviceChoice& device);

}  // namespace tern
