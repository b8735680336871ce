#include "core/topology.h"

#include <dirent.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <tuple>

namespace tern {
namespace {

// The first number of a list as "4,36" or "4-5"; `otherwise` when the file is not there.
int first_number(const std::string& path, int otherwise) {
  std::ifstream file(path);
  int number;
  return file >> number ? number : otherwise;
}

// A CPU's folder has a link called node<N>.
int node_of(const std::string& folder) {
  int node = 0;
  if (DIR* dir = ::opendir(folder.c_str())) {
    while (const dirent* entry = ::readdir(dir)) {
      if (std::strncmp(entry->d_name, "node", 4) == 0 && entry->d_name[4] >= '0' && entry->d_name[4] <= '9') {
        node = std::atoi(entry->d_name + 4);
      }
    }
    ::closedir(dir);
  }
  return node;
}

// CPUs' worth of time that the cgroup grants, 0 when it sets no limit.
double cgroup_cpus() {
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (v2 >> quota >> period) return quota == "max" || period <= 0 ? 0 : std::strtod(quota.c_str(), nullptr) / period;
  std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  double quota_us = 0;
  if (v1_quota >> quota_us && v1_period >> period && quota_us > 0 && period > 0) return quota_us / period;
  return 0;
}

}  // namespace

std::vector<Cpu> allowed_cpus() {
  std::vector<Cpu> cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  std::map<int, int> threads_of_core;
  for (int id = 0; id < CPU_SETSIZE; ++id) {
    if (!CPU_ISSET(id, &set)) continue;
    const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(id);
    const int core = first_number(folder + "/topology/thread_siblings_list", id);
    cpus.push_back({id, core, node_of(folder), threads_of_core[core]++});
  }
  std::sort(cpus.begin(), cpus.end(), [](const Cpu& a, const Cpu& b) {
    return std::tie(a.sibling, a.node, a.id) < std::tie(b.sibling, b.node, b.id);
  });
  return cpus;
}

int available_cpus() {
  int cpus = std::max<int>(1, static_cast<int>(allowed_cpus().size()));
  const double granted = cgroup_cpus();
  if (granted > 0) cpus = std::min(cpus, std::max(1, static_cast<int>(std::ceil(granted))));
  return cpus;
}

int default_workers() {
  const std::vector<Cpu> cpus = allowed_cpus();
  const auto cores = std::count_if(cpus.begin(), cpus.end(), [](const Cpu& cpu) { return cpu.sibling == 0; });
  const int available = available_cpus();
  if (static_cast<size_t>(2 * cores) < cpus.size()) return available;
  return std::max(1, std::min(available, static_cast<int>(cores)));
}

}  // namespace tern
