"""Where fixtures live and how they are written; shared by every make_*.py.

Binary files are raw little-endian arrays without a header; JSON is UTF-8 and ends with a newline.
"""
import json
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).resolve().parent.parent / "golden"


def folder(*parts):
    """Returns golden/<parts>, created if it is not there."""
    path = GOLDEN.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


def write_array(path, array, dtype):
    """Writes `array` as a raw little-endian `dtype` ("<f4", "<u4", "u1")."""
    Path(path).write_bytes(np.ascontiguousarray(array).astype(dtype).tobytes())


def write_json(path, value):
    Path(path).write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")


def write_jsonl(path, rows):
    # ASCII escapes: the strings hold line separators and controls that editors and diffs would break.
    with open(path, "w", encoding="ascii", newline="\n") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=True) + "\n")
