"""src/text/bert_classes.h: which characters BERT's tokenizers drop, take for marks or for punctuation, by Hugging Face `tokenizers`.

Its classes are those of Unicode 8, which no library in use has any more: asked character by character.
"""
import unicodedata
from pathlib import Path

from tokenizers import normalizers, pre_tokenizers

HEAD = """// Characters that BERT's tokenizers drop, take for accents or for punctuation: classes of Unicode 8, as Hugging Face's
// tokenizers have them. Made by tests/oracle/make_bert_classes.py; do not edit.
#pragma once

#include <algorithm>
#include <iterator>

namespace tern::bert {

struct Range {
  char32_t first, last;
};

template <size_t N>
constexpr bool contains(const Range (&ranges)[N], char32_t value) {
  const Range* behind = std::upper_bound(std::begin(ranges), std::end(ranges), value,
                                         [](char32_t at, const Range& range) { return at < range.first; });
  return behind != std::begin(ranges) && value <= std::prev(behind)->last;
}

"""


def ranges(values):
    out = []
    for value in values:
        if out and out[-1][1] == value - 1:
            out[-1][1] = value
        else:
            out.append([value, value])
    return out


def table(name, values):
    lines = [f"inline constexpr Range {name}[] = {{"]
    lines += [f"    {{0x{first:04X}, 0x{last:04X}}}," for first, last in ranges(values)]
    return "\n".join(lines + ["};", ""])


def main():
    def normalizer(**on):
        off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
        return normalizers.BertNormalizer(**{**off, **on})

    clean, strip = normalizer(clean_text=True), normalizer(strip_accents=True)
    split = pre_tokenizers.BertPreTokenizer()
    dropped, marks, punctuation = [0], [], []  # a text of nothing but 0 ends in some bindings
    for value in range(1, 0x110000):
        if 0xD800 <= value < 0xE000:
            continue
        char = chr(value)
        if clean.normalize_str(char) == "":
            dropped.append(value)
        if unicodedata.normalize("NFD", char) == char and strip.normalize_str(char) == "":
            marks.append(value)
        if len(split.pre_tokenize_str(f"a{char}a")) == 3:
            punctuation.append(value)
    text = HEAD + "\n".join(table(name, values) for name, values in
                            (("kDropped", dropped), ("kMarks", marks), ("kPunctuation", punctuation)))
    target = Path(__file__).parent.parent.parent / "src" / "text" / "bert_classes.h"
    target.write_text(text + "\n}  // namespace tern::bert\n")


if __name__ == "__main__":
    main()
