"""A second, independent reading of a GGUF decoder (llama, qwen2): plain numpy in float64.

It exists to check the fixtures: it reads the GGUF file, not the model it was written from, so a slip in the writer
(row order of q and k, scaling keys, a missing bias) shows as different logits.
"""
import math

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize


def load(path):
    """(metadata, tensors in float64)"""
    reader = GGUFReader(path)
    metadata = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("tokenizer.")}
    tensors = {t.name: dequantize(t.data, t.tensor_type).astype(np.float64) for t in reader.tensors}
    return metadata, tensors


def yarn_frequencies(frequencies, base, dim, factor, original):
    """YaRN (arXiv 2309.00071): slow rotations are interpolated, fast ones kept, between them a ramp over dimensions."""
    def dimension(turns):
        return dim * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(base))
    low, high = max(math.floor(dimension(32)), 0), min(math.ceil(dimension(1)), dim - 1)
    ramp = np.clip((np.arange(dim // 2) - low) / max(high - low, 0.001), 0, 1)
    return frequencies * (1 - ramp) + frequencies / factor * ramp, 0.1 * math.log(factor) + 1


def rotation(metadata, tensors, arch, dim, length):
    """cos and sin, each [length, dim / 2], with the magnitude scale inside."""
    base = metadata[f"{arch}.rope.freq_base"]
    frequencies, magnitude = base ** -(np.arange(0, dim, 2) / dim), 1.0
    if "rope_freqs.weight" in tensors:
        frequencies = frequencies / tensors["rope_freqs.weight"]
    scaling = metadata.get(f"{arch}.rope.scaling.type")
    if scaling == "linear":
        frequencies = frequencies / metadata[f"{arch}.rope.scaling.factor"]
    if scaling == "yarn":
        frequencies, magnitude = yarn_frequencies(frequencies, base, dim, metadata[f"{arch}.rope.scaling.factor"],
                                                  metadata[f"{arch}.rope.scaling.original_context_length"])
    angles = np.outer(np.arange(length), frequencies)
    return np.cos(angles) * magnitude, np.sin(angles) * magnitude


def rotate(x, cos, sin, neighbours):
    """x: [length, heads, dim]"""
    half = x.shape[-1] // 2
    a, b = (x[..., 0::2], x[..., 1::2]) if neighbours else (x[..., :half], x[..., half:])
    cos, sin = cos[:, None], sin[:, None]
    first, second = a * cos - b * sin, a * sin + b * cos
    return np.stack([first, second], -1).reshape(x.shape) if neighbours else np.concatenate([first, second], -1)


def norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def attention(q, k, v):
    """Causal; q: [length, heads, dim], k and v: [length, kv_heads, dim]"""
    group = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, group, 1), np.repeat(v, group, 1)
    scores = np.einsum("qhd,khd->hqk", q, k) / math.sqrt(q.shape[-1])
    scores = np.where(np.tril(np.ones(scores.shape[1:], bool)), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return np.einsum("hqk,khd->qhd", weights, v).reshape(len(q), -1)


def logits(path, ids):
    """[length, vocabulary] in float64"""
    metadata, tensors = load(path)
    arch = metadata["general.architecture"]
    heads, kv_heads = metadata[f"{arch}.attention.head_count"], metadata[f"{arch}.attention.head_count_kv"]
    eps = metadata[f"{arch}.attention.layer_norm_rms_epsilon"]
    dim = metadata.get(f"{arch}.attention.key_length", metadata[f"{arch}.embedding_length"] // heads)
    cos, sin = rotation(metadata, tensors, arch, dim, len(ids))

    def linear(x, name):
        return x @ tensors[f"{name}.weight"].T + tensors.get(f"{name}.bias", 0.0)

    x = tensors["token_embd.weight"][ids]
    for layer in range(metadata[f"{arch}.block_count"]):
        b = f"blk.{layer}."
        h = norm(x, tensors[b + "attn_norm.weight"], eps)
        q = rotate(linear(h, b + "attn_q").reshape(len(ids), heads, dim), cos, sin, arch == "llama")
        k = rotate(linear(h, b + "attn_k").reshape(len(ids), kv_heads, dim), cos, sin, arch == "llama")
        v = linear(h, b + "attn_v").reshape(len(ids), kv_heads, dim)
        x = x + linear(attention(q, k, v), b + "attn_output")
        h = norm(x, tensors[b + "ffn_norm.weight"], eps)
        gate = linear(h, b + "ffn_gate")
        x = x + linear(gate / (1 + np.exp(-gate)) * linear(h, b + "ffn_up"), b + "ffn_down")
    head = tensors.get("output.weight", tensors["token_embd.weight"])
    return norm(x, tensors["output_norm.weight"], eps) @ head.T
