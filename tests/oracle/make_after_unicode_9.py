"""Writes src/text/hf/after_unicode_9.h: marks and decomposable characters that `tokenizers` does not know as such.

Its normalization goes by Unicode 9; what came later is to it a character without class or decomposition. Python's own
tables say what there is by now.
"""
import sys
import unicodedata
from pathlib import Path

from tokenizers import normalizers

TARGET = Path(__file__).resolve().parents[2] / "src" / "text" / "hf" / "after_unicode_9.h"
NFD, NFKD, STRIP = normalizers.NFD(), normalizers.NFKD(), normalizers.StripAccents()


def is_unknown(char):
    order = unicodedata.combining(char)
    moving = "a\u0301" + char if order == 1 else "a" + char + "\u0334"
    return (order and NFD.normalize_str(moving) != unicodedata.normalize("NFD", moving)
            or NFKD.normalize_str(char) != unicodedata.normalize("NFKD", char)
            or unicodedata.category(char)[0] == "M" and STRIP.normalize_str(char) != "")


def ranges():
    found = []
    for point in range(sys.maxunicode + 1):
        if 0xD800 <= point < 0xE000 or not is_unknown(chr(point)):
            continue
        if found and found[-1][1] == point - 1:
            found[-1][1] = point
        else:
            found.append([point, point])
    return found


def main():
    rows = [f"{{0x{first:X}, 0x{last:X}}}" for first, last in ranges()]
    lines = [", ".join(rows[at:at + 5]) + "," for at in range(0, len(rows), 5)]
    TARGET.write_text(f"""// Marks and decomposable characters that came after Unicode 9, by whose rules Hugging Face normalizes: to it they are
// characters like others. Made by tests/oracle/make_after_unicode_9.py (Unicode {unicodedata.unidata_version}).
#pragma once

#include <array>

namespace tern::hf {{

struct CharacterRange {{
  char32_t first, last;
}};

// clang-format off
inline constexpr std::array<CharacterRange, {len(rows)}> kAfterUnicode9{{{{
    {(chr(10) + "    ").join(lines)}
}}}};
// clang-format on

}}  // namespace tern::hf
""", encoding="ascii")


if __name__ == "__main__":
    main()
