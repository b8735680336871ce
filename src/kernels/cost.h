// What one execution of an op moves and computes. Declared once, per implementation; benchmarks, the planner and the
// server's accounting all read it. Plain structs: ISA files include this.
#pragma once

#include <cstdint>

namespace tern {

// What an op multiplies in, and so which of the machine's peaks bounds it. A tile is one of AMX: its products run on a
// unit of their own.
enum class Arithmetic : uint8_t { kF32, kBf16, kInt8, kBf16Tile, kInt8Tile };

struct Cost {
  double bytes = 0;        // read and written, counting each operand once
  double ops = 0;          // multiplications and additions counted apart
  double activations = 0;  // of `bytes`: what another op of the step wrote or will read, so that a cache may hold it
  Arithmetic arithmetic = Arithmetic::kF32;
};

}  // namespace tern
