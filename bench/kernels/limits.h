// What one core of this machine can do at best, by loops that do nothing else: the denominators of the kernel
// benchmarks. Plain functions over caller-owned memory; each does its work once, the caller times it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern::bench {

// 64 multiply-adds an instruction, twelve chains. Returns operations done (2 a multiply-add).
double int8_dot_loop(int64_t iterations);
double bf16_dot_loop(int64_t iterations);
double f32_fma_loop(int64_t iterations);
// Tile products of 16 x 16 x 64 bytes, four sums, on registers alone. Only where detect_isa() says so.
double int8_tile_loop(int64_t iterations);
double bf16_tile_loop(int64_t iterations);
// Reads every cache line of `bytes` (a multiple of 4096); the result keeps it alive. With software prefetch a page
// ahead it is the faster one in huge pages, without in small ones.
int64_t read_loop(const std::byte* from, int64_t bytes);
int64_t read_ahead_loop(const std::byte* from, int64_t bytes);

}  // namespace tern::bench
