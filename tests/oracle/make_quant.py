"""golden/quant/<type>.blocks and <type>.f32: random blocks of each weight format and what they decode to.

Codes are random bytes; the float16 scales inside a block cycle through awkward values (zero, -0, denormal, largest,
negative) and random ones. The reference decoder is gguf.quants.dequantize. No NaN appears, so files compare bit by bit.
"""
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

import fixture

BLOCKS = 64

# Byte offsets of the float16 scales in a block, by format.
SCALE_OFFSETS = {
    "q4_0": [0], "q4_1": [0, 2], "q5_0": [0], "q5_1": [0, 2], "q8_0": [0],
    "q2_k": [80, 82], "q3_k": [108], "q4_k": [0, 2], "q5_k": [0, 2], "q6_k": [208], "iq4_nl": [0], "iq4_xs": [0], "mxfp4": [],
    "iq1_s": [0], "iq1_m": [], "iq2_xxs": [0], "iq2_xs": [0], "iq2_s": [0], "iq3_xxs": [0], "iq3_s": [0], "tq1_0": [52],
    "tq2_0": [64], "nvfp4": [],
}

# zero, -0, least denormal, a negative denormal, greatest denormal, least normal, 1, -1, largest, -largest
AWKWARD_F16 = [0x0000, 0x8000, 0x0001, 0x8155, 0x03FF, 0x0400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF]
# MXFP4's scale is a byte of exponent: 2^-128 and 2^-127 (subnormal), 2^-126, around 1, the last without and the first
# with infinities, and 255, which the package decodes as a number.
AWKWARD_E8M0 = [0, 1, 2, 126, 127, 128, 252, 253, 254, 255]
# ... of bfloat16, with infinities, which a plain float format may hold.
AWKWARD_BF16 = [0x0000, 0x8000, 0x0001, 0x8055, 0x007F, 0x0080, 0x3F80, 0xBF80, 0x7F7F, 0xFF7F, 0x7F80, 0xFF80]


def random_f16(rng, count):
    """Scales as real weights have them (about 1e-5 to 1, both signs), as float16 bits."""
    values = rng.choice([-1.0, 1.0], count) * 10.0 ** rng.uniform(-5, 0, count)
    return values.astype(np.float16).view(np.uint16)


def scales(rng):
    """One float16 per block: the awkward ones in random order, then usual ones."""
    bits = np.concatenate([np.array(AWKWARD_F16, np.uint16), random_f16(rng, BLOCKS - len(AWKWARD_F16))])
    return rng.permutation(bits)


def quantized_blocks(name, rng):
    size = GGML_QUANT_SIZES[Type[name.upper()]][1]
    blocks = rng.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
    for offset in SCALE_OFFSETS[name]:
        blocks[:, offset:offset + 2] = scales(rng).astype("<u2").view(np.uint8).reshape(BLOCKS, 2)
    if name == "iq1_m":  # four bits of the scale above each of the last four words
        words = blocks[:, 48:].copy().view("<u2") & 0x0FFF
        parts = scales(rng)[:, None] >> np.array([0, 4, 8, 12], np.uint16) & 0xF
        blocks[:, 48:] = (words | parts << 12).astype("<u2").view(np.uint8)
    if name == "mxfp4":
        blocks[:len(AWKWARD_E8M0), 0] = AWKWARD_E8M0
    return blocks


def float_blocks(name, rng, count=32 * BLOCKS):
    """All specials first, then random bit patterns; those that are NaN lose their top exponent bit."""
    exponent = 0x7C00 if name == "f16" else 0x7F80
    specials = AWKWARD_F16 + [0x7C00, 0xFC00] if name == "f16" else AWKWARD_BF16
    bits = rng.integers(0, 1 << 16, count).astype(np.uint16)
    bits[(bits & exponent) == exponent] &= 0xBFFF
    bits[:len(specials)] = specials
    return bits.astype("<u2").view(np.uint8).reshape(BLOCKS, -1)


def u4_zero(rng):
    """tern's own: d, minus the zero point, 32 codes. (blocks, values)"""
    d = scales(rng).astype("<u2").view(np.float16)
    zero = rng.integers(0, 17, BLOCKS).astype(np.float16)
    codes = rng.integers(0, 16, (BLOCKS, 32), dtype=np.uint8)
    head = np.stack([d, -zero], -1).view(np.uint8)
    blocks = np.concatenate([head, codes[:, :16] | codes[:, 16:] << 4], -1)
    d, zero = d.astype(np.float32)[:, None], zero.astype(np.float32)[:, None]
    return blocks, d * codes.astype(np.float32) - d * zero


def f8_e4m3(rng):
    """tern's own: a float32 scale, 32 values in e4m3 without NaN. (blocks, values)"""
    d = (rng.choice([-1.0, 1.0], BLOCKS) * 10.0 ** rng.uniform(-6, 2, BLOCKS)).astype("<f4")
    codes = rng.integers(0, 256, (BLOCKS, 32), dtype=np.uint8)
    codes[(codes & 0x7F) == 0x7F] = 0x7E
    blocks = np.concatenate([d[:, None].view(np.uint8), codes], -1)
    values = torch.from_numpy(codes).view(torch.float8_e4m3fn).to(torch.float32).numpy()
    return blocks, d[:, None] * values


def main():
    out = fixture.folder("quant")
    for index, make in enumerate((u4_zero, f8_e4m3)):
        blocks, decoded = make(np.random.default_rng([3, index]))
        fixture.write_array(out / f"{make.__name__}.blocks", blocks, "u1")
        fixture.write_array(out / f"{make.__name__}.f32", decoded, "<f4")
    for index, name in enumerate(["f16", "bf16", *SCALE_OFFSETS]):
        rng = np.random.default_rng([1, index])
        blocks = float_blocks(name, rng) if name in ("f16", "bf16") else quantized_blocks(name, rng)
        decoded = np.asarray(dequantize(blocks, Type[name.upper()]), np.float32)
        assert not np.isnan(decoded).any(), name
        assert name in ("f16", "bf16", "mxfp4") or np.isfinite(decoded).all(), name
        fixture.write_array(out / f"{name}.blocks", blocks, "u1")
        fixture.write_array(out / f"{name}.f32", decoded, "<f4")


if __name__ == "__main__":
    main()
