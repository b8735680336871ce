// Which processors this process may use, and how they lie: cores, hardware threads that share one, NUMA nodes.
#pragma once

#include <vector>

namespace tern {

struct Cpu {
  int id;       // the system's number
  int core;     // the lowest number among the hardware threads of its core
  int node;     // NUMA node, 0 when the system does not tell
  int sibling;  // 0: the first allowed one of its core, 1: the second, ...
};

// The CPUs of the affinity mask: first hardware threads before second ones, node after node, so that the first n are
// the best n for workers that compute.
std::vector<Cpu> allowed_cpus();

// CPUs that this process may use: affinity mask, bounded by the cgroup's quota (rounded up), at least 1.
int available_cpus();

// As many workers as pay: one a core, for a second hardware thread has no vector unit of its own; all CPUs when the
// system's account of cores cannot be true (more than two threads a core: a virtual machine that hides them).
int default_workers();

}  // namespace tern
