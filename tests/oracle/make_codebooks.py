"""src/quant/codebook_grids.h: the codebooks of the formats IQ1, IQ2 and IQ3, as the gguf package has them.

An entry is 16 bits: eight 2-bit or four 4-bit numbers, the first one lowest; the package packs them alike.
"""
from pathlib import Path

import numpy as np
from gguf import quants

HEADER = """// The codebooks of IQ1, IQ2 and IQ3, made by tests/oracle/make_codebooks.py from the gguf package: facts of these
// formats. An entry is eight numbers of 2 bits (IQ1: -1, 0, 1 plus one; IQ2: which of three sizes) or four of 4 bits
// (IQ3: which of eight sizes), the first one lowest. Plain: ISA files include this, and everything has internal
// linkage.
#pragma once

#include <cstdint>

namespace tern {
"""
GRIDS = {"Iq1": quants.IQ1_S, "Iq2Xxs": quants.IQ2_XXS, "Iq2Xs": quants.IQ2_XS, "Iq2S": quants.IQ2_S,
         "Iq3Xxs": quants.IQ3_XXS, "Iq3S": quants.IQ3_S}
A_LINE = 16


def entries(format_class):
    """The grid as the package unpacks it, packed again."""
    format_class.init_grid()
    count, length = format_class.grid_shape
    values = np.asarray(format_class.grid).reshape(count, length)
    numbers = np.searchsorted(np.array(format_class.grid_map), values)
    assert (np.array(format_class.grid_map)[numbers] == values).all()
    shifts = np.arange(length) * (16 // length)
    return (numbers << shifts).sum(-1)


def main():
    out = HEADER
    for name, format_class in GRIDS.items():
        grid = entries(format_class)
        out += f"\n// clang-format off\nconstexpr uint16_t kGrid{name}[{len(grid)}] = {{\n"
        for line in range(0, len(grid), A_LINE):
            out += "  " + " ".join(f"0x{entry:04x}," for entry in grid[line:line + A_LINE]) + "\n"
        out += "};\n// clang-format on\n"
    out += "\n}  // namespace tern\n"
    path = Path(__file__).resolve().parents[2] / "src" / "quant" / "codebook_grids.h"
    path.write_text(out, encoding="ascii", newline="\n")


if __name__ == "__main__":
    main()
