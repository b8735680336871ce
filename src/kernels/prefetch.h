// Software prefetch: asks for the cache line of `p` before it is wanted. It never faults, whatever the address.
//
// The empty assembly: g++ 12 takes a function that does nothing but this for one without effect, and drops calls of it.
// ISA files include this: everything has internal linkage.
#pragma once

namespace tern {
namespace {

// Into the second level, the right one for what comes from memory: at most 24 lines can be on their way to the first,
// fewer than memory has to have in flight, and those buffers belong to the loads.
[[gnu::always_inline]] inline void prefetch_l2(const void* p) {
  __builtin_prefetch(p, 0, 2);
  asm volatile("");
}

// Into the first level, for what the second has.
[[gnu::always_inline]] inline void prefetch_l1(const void* p) {
  __builtin_prefetch(p, 0, 3);
  asm volatile("");
}

}  // namespace
}  // namespace tern
