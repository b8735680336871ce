#include "core/host_memory.h"

#include <link.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace tern {
namespace {

// Segments that are never written are the file's bytes, so that nothing is lost: relocations lie in writable ones.
int release_segments(dl_phdr_info* object, size_t, void* page_bytes) {
  const auto page = *static_cast<uint64_t*>(page_bytes);
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const uint64_t from = object->dlpi_addr + segment.p_vaddr;
    const uint64_t begin = (from + page - 1) / page * page, end = (from + segment.p_memsz) / page * page;
    // A hint: failure changes nothing.
    if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
  return 0;
}

}  // namespace

void release_program_pages() {
  auto page = static_cast<uint64_t>(::sysconf(_SC_PAGE_SIZE));
  ::dl_iterate_phdr(release_segments, &page);
}

uint64_t available_memory_bytes() {
  uint64_t bytes = static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(::sysconf(_SC_PAGE_SIZE));
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream file(path);
    uint64_t limit = 0;  // "max" does not parse: no limit
    if (file >> limit && limit > 0) bytes = std::min(bytes, limit);
  }
  return bytes;
}

uint64_t peak_resident_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace tern
