"""A second, independent reading of a GGUF decoder: plain numpy in float64.

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
    if "rope_factors_long.weight" in tensors:
        kind = "long" if length > metadata[f"{arch}.rope.scaling.original_context_length"] else "short"
        frequencies = frequencies / tensors[f"rope_factors_{kind}.weight"]
        magnitude = metadata[f"{arch}.rope.scaling.attn_factor"]
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
    dims = 2 * cos.shape[-1]
    x, rest = x[..., :dims], x[..., dims:]
    half = dims // 2
    a, b = (x[..., 0::2], x[..., 1::2]) if neighbours else (x[..., :half], x[..., half:])
    cos, sin = cos[:, None], sin[:, None]
    first, second = a * cos - b * sin, a * sin + b * cos
    out = np.stack([first, second], -1).reshape(x.shape) if neighbours else np.concatenate([first, second], -1)
    return np.concatenate([out, rest], -1)


def norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def softmax(x):
    weights = np.exp(x - x.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def attention(q, k, v, scale, window=0, cap=0.0):
    """Causal; q: [length, heads, dim], k and v: [length, kv_heads, dim]; window 0: all keys"""
    group = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, group, 1), np.repeat(v, group, 1)
    scores = np.einsum("qhd,khd->hqk", q, k) * scale
    if cap:
        scores = cap * np.tanh(scores / cap)
    seen = np.tril(np.ones(scores.shape[1:], bool))
    if window:
        seen &= ~np.tril(seen, -window)
    weights = softmax(np.where(seen, scores, -np.inf))
    return np.einsum("hqk,khd->qhd", weights, v).reshape(len(q), -1)


def silu(x):
    return x / (1 + np.exp(-x))


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


def experts(tensors, b, h, used):
    """What the best `used` experts of each row make of it, weighted by the softmax of their scores."""
    scores = h @ tensors[b + "ffn_gate_inp.weight"].T
    gate, up, down = (tensors[f"{b}ffn_{name}_exps.weight"] for name in ("gate", "up", "down"))
    out = np.zeros_like(h)
    for row, (x, score) in enumerate(zip(h, scores)):
        best = np.argsort(-score)[:used]
        for expert, weight in zip(best, softmax(score[best])):
            out[row] += weight * ((silu(gate[expert] @ x) * (up[expert] @ x)) @ down[expert].T)
    return out


class Layout:
    """What an architecture's name says and its keys do not."""

    def __init__(self, arch, layer):
        gemma = arch.startswith("gemma")
        self.neighbours = arch in ("llama", "smollm3", "granite")
        self.rotates = arch != "smollm3" or layer % 4 != 3
        self.local = (arch == "gemma2" and layer % 2 == 0) or (arch == "gemma3" and layer % 6 != 5)
        self.local_base = 10000.0 if arch == "gemma3" and self.local else None
        self.act = gelu_tanh if gemma else silu


def logits(path, ids):
    """[length, vocabulary] in float64"""
    metadata, tensors = load(path)
    arch = metadata["general.architecture"]

    def key(name, default=None):
        return metadata.get(f"{arch}.{name}", default)

    heads, kv_heads = key("attention.head_count"), key("attention.head_count_kv")
    eps = key("attention.layer_norm_rms_epsilon")
    dim = key("attention.key_length", key("embedding_length") // heads)

    def linear(x, name):
        return x @ tensors[f"{name}.weight"].T + tensors.get(f"{name}.bias", 0.0)

    def optional_norm(x, name):
        return norm(x, tensors[f"{name}.weight"], eps) if f"{name}.weight" in tensors else x

    def head_norm(x, name):
        """Of each head, or of all together, as the weight's length says."""
        weight = tensors.get(f"{name}.weight")
        if weight is None:
            return x
        rows = x.reshape(len(ids), -1, len(weight))
        return norm(rows, weight, eps).reshape(x.shape)

    x = tensors["token_embd.weight"][ids] * key("embedding_scale", 1.0)
    if arch.startswith("gemma"):
        x = x * math.sqrt(key("embedding_length"))
    for layer in range(key("block_count")):
        b = f"blk.{layer}."
        layout = Layout(arch, layer)
        if layout.local_base:
            local = {f"{arch}.rope.freq_base": layout.local_base}
            cos, sin = rotation(local, {}, arch, dim, len(ids))
        else:
            cos, sin = rotation(metadata, tensors, arch, key("rope.dimension_count", dim), len(ids))
        if not layout.rotates:
            cos, sin = np.ones_like(cos), np.zeros_like(sin)
        h = optional_norm(x, b + "attn_norm")
        if b + "attn_qkv.weight" in tensors:  # one tensor for three, and one for two
            names = ("attn_q", "attn_k", "attn_v")
            parts = np.split(tensors[b + "attn_qkv.weight"], [heads * dim, (heads + kv_heads) * dim])
            tensors |= {f"{b}{name}.weight": part for name, part in zip(names, parts)}
            gate_up = np.split(tensors[b + "ffn_up.weight"], 2)
            tensors |= {b + "ffn_gate.weight": gate_up[0], b + "ffn_up.weight": gate_up[1]}
        q = head_norm(linear(h, b + "attn_q"), b + "attn_q_norm").reshape(len(ids), heads, dim)
        k = head_norm(linear(h, b + "attn_k"), b + "attn_k_norm").reshape(len(ids), kv_heads, dim)
        v = linear(h, b + "attn_v").reshape(len(ids), kv_heads, dim)
        q, k = rotate(q, cos, sin, layout.neighbours), rotate(k, cos, sin, layout.neighbours)
        mixed = attention(q, k, v, key("attention.scale", dim ** -0.5),
                          key("attention.sliding_window", 0) if layout.local or arch == "llama" else 0,
                          key("attn_logit_softcapping", 0.0))
        residual = key("residual_scale", 1.0)
        x = x + residual * optional_norm(linear(mixed, b + "attn_output"), b + "post_attention_norm")
        h = optional_norm(x, b + "ffn_norm")
        if b + "ffn_gate_inp.weight" in tensors:
            x = x + experts(tensors, b, h, key("expert_used_count"))
            continue
        product = layout.act(linear(h, b + "ffn_gate")) * linear(h, b + "ffn_up")
        x = x + residual * optional_norm(linear(product, b + "ffn_down"), b + "post_ffw_norm")
    head = tensors.get("output.weight", tensors["token_embd.weight"])
    out = norm(x, tensors["output_norm.weight"], eps) @ head.T / key("logit_scale", 1.0)
    cap = key("final_logit_softcapping", 0.0)
    return cap * np.tanh(out / cap) if cap else out
