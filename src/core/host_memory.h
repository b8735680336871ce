// How much memory this process may use and has used.
#pragma once

#include <cstdint>

namespace tern {

// Physical memory, bounded by the cgroup's limit.
uint64_t available_memory_bytes();

// The most that was ever resident (ru_maxrss).
uint64_t peak_resident_bytes();

}  // namespace tern
