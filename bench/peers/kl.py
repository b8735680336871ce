"""The error of fast kernels: mean KL from exact arithmetic, of tern and of llama.cpp on the same tokens.

llama.cpp: its output on the file from that of its own f32 model. tern: its default kernels and f16 cache from its
reference kernels and an f32 cache, on the file. Scored are the positions of the second half of the chunk, as
llama-perplexity does. In plain Python, since nothing else may be there: about 20 ms a position.
"""

import math
import operator
import struct
import tempfile
from array import array
from pathlib import Path

import compare
import measure

CHUNKS = 2


def divergence(exact, fast):
    """KL(exact || fast) of two rows of logits, nats."""
    top_exact, top_fast = max(exact), max(fast)
    weights = [math.exp(x - top_exact) for x in exact]
    total = math.fsum(weights)
    other = math.fsum(math.exp(x - top_fast) for x in fast)
    mean = math.fsum(map(operator.mul, weights, map(operator.sub, exact, fast))) / total
    return max(0.0, mean - (top_exact - top_fast) - math.log(total) + math.log(other))


def read_tokens(path):
    """The token ids of the chunks of llama-perplexity's reference file."""
    with open(path, "rb") as file:
        magic, context, vocabulary, chunks = struct.unpack("<8sIii", file.read(20))
        if magic != b"_logits_":
            raise measure.Failed(f"{path} is no reference of llama-perplexity")
        ids = array("i", file.read(4 * context * chunks))
    return [list(ids[i * context:(i + 1) * context]) for i in range(chunks)], vocabulary


def rows_of(path, vocabulary, first, last):
    with open(path, "rb") as file:
        for position in range(first, last):
            file.seek(4 * vocabulary * position)
            yield array("f", file.read(4 * vocabulary))


def tern_kl(tern, model, chunks, vocabulary, threads, folder):
    """Mean KL and its standard error, of tern's fast kernels from its reference."""
    values = []
    for ids in chunks:
        (folder / "ids.txt").write_text(" ".join(map(str, ids)))
        command = [tern, "eval", "logits", model, "--ids", str(folder / "ids.txt"), "-t", str(threads)]
        exact, fast = str(folder / "exact.f32"), str(folder / "fast.f32")
        measure.run([*command, "--kv-cache-dtype", "f32", "-o", exact], {"TERN_KERNELS": "ref"})
        measure.run([*command, "--kv-cache-dtype", "f16", "-o", fast])
        span = (vocabulary, len(ids) // 2, len(ids) - 1)
        values += map(divergence, rows_of(exact, *span), rows_of(fast, *span))
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / max(1, len(values) - 1))
    return mean, deviation / math.sqrt(len(values))


def measure_both(tern, programs, model, text, threads):
    """{engine: (mean KL, standard error)}; the floor is that of llama.cpp's f32 model against itself."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rows, _ = compare.peer_kl(programs, model, text, CHUNKS, threads, folder)
        mean, error = (float(x) for x in rows["the file"][0].split(" ± "))
        chunks, vocabulary = read_tokens(folder / "base.kld")
        return {"tern": tern_kl(tern, model, chunks, vocabulary, threads, folder), "llama.cpp": (mean, error)}
