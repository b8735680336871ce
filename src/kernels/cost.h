// What one execution of an op moves and computes. Declared once, per implementation; benchmarks, the planner and the
// server's accounting all read it. Plain structs: ISA files include this.
#pragma once

#include <cstdint>

namespace tern {

struct Cost {
  double bytes = 0;  // read and written, counting each operand once
  double ops = 0;    // multiplications and additions counted apart
};

}  // namespace tern
