// How much memory this process may use and has used.
#pragma once

#include <cstdint>

namespace tern {

// Physical memory, bounded by the cgroup's limit.
uint64_t available_memory_bytes();

// Gives the pages of code and constants (of the program and its libraries) that are resident back to the system: what
// is used again is mapped again from the file cache. After a start most of them never are.
void release_program_pages();

// The most that was ever resident (ru_maxrss).
uint64_t peak_resident_bytes();

}  // namespace tern
