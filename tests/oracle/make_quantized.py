"""golden/quantized/<name>/: a tiny random Llama as other programs quantize it, with the weights and logits it stands for.

Each folder is config.json and model.safetensors in one method's own layout, written here with numpy from the formats'
descriptions. expected.json holds the SHA-256 of each dequantized matrix (float32, row by row), computed from the same
codes by formula, and the prompt; logits.f32 are transformers' over those weights, in float32. What compressed-tensors
can decompress is decompressed by that package too, and must be the same.
"""
import hashlib
import json

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

import fixture

CONFIG = dict(vocab_size=96, hidden_size=128, intermediate_size=256, num_hidden_layers=1, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5, bos_token_id=93, eos_token_id=95,
              tie_word_embeddings=False, rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
PROMPT = [7, 3, 88, 41, 41, 12, 60, 2, 95, 30, 11, 54, 80, 9, 9, 72, 1, 36, 29, 90, 65, 18, 47, 23]


def pack_fields(codes, bits, axis):
    """Unsigned codes along `axis` in 32-bit words without gaps, the first one lowest."""
    codes = np.moveaxis(np.asarray(codes, np.uint64), axis, -1)
    stream = (codes[..., None] >> np.arange(bits, dtype=np.uint64) & 1).reshape(*codes.shape[:-1], -1)
    stream = np.pad(stream, [(0, 0)] * (stream.ndim - 1) + [(0, -stream.shape[-1] % 32)])
    words = stream.reshape(*stream.shape[:-1], -1, 32)
    words = (words << np.arange(32, dtype=np.uint64)).sum(-1).astype(np.uint32).view(np.int32)
    return np.ascontiguousarray(np.moveaxis(words, -1, axis))


def group_grid(w, bits, group, sym, group_of):
    """Scale (float16) and zero [rows, groups] of each group's columns."""
    groups = group_of.max() + 1
    scale, zero = np.zeros((len(w), groups), np.float16), np.zeros((len(w), groups), np.int64)
    most = 2 ** bits - 1
    for g in range(groups):
        part = w[:, group_of == g]
        low, high = np.minimum(part.min(1), 0), np.maximum(part.max(1), 0)
        if sym:
            largest = np.maximum(-low, high)
            low, high = -largest, largest
        scale[:, g] = ((high - low) / most).astype(np.float16)
        zero[:, g] = 2 ** (bits - 1) if sym else np.clip(np.round(-low / scale[:, g].astype(np.float64)), 0, most)
    return scale, zero


def integers(w, bits, group, sym, rng=None):
    """codes [rows, cols], scale and zero [rows, groups], group_of [cols]; `rng` shuffles the groups' columns."""
    cols = w.shape[1]
    group_of = np.arange(cols) // (cols if group < 0 else group)
    if rng is not None:
        group_of = rng.permutation(group_of)
    scale, zero = group_grid(w, bits, group, sym, group_of)
    codes = np.round(w / scale.astype(np.float64)[:, group_of]) + zero[:, group_of]
    return np.clip(codes, 0, 2 ** bits - 1).astype(np.int64), scale, zero, group_of


def value_of(codes, scale, zero, group_of):
    return scale.astype(np.float32)[:, group_of] * (codes - zero[:, group_of]).astype(np.float32)


def tensor(array):
    return torch.from_numpy(np.ascontiguousarray(array))


def gptq(bits, group, sym, version=1, act_order=False):
    def encode(name, w, rng):
        codes, scale, zero, group_of = integers(w, bits, group, sym, rng if act_order else None)
        stored = zero - 1 if version == 1 else zero
        value = value_of(codes, scale, zero, group_of)
        if act_order:
            value = value.astype(np.float16).astype(np.float32)  # what tern keeps, and what GPTQ's own kernels make
        return value, {
            "qweight": tensor(pack_fields(codes.T, bits, 0)), "g_idx": tensor(group_of.astype(np.int32)),
            "qzeros": tensor(pack_fields(stored.T & (2 ** bits - 1), bits, 1)), "scales": tensor(scale.T)}
    return encode, {"quant_method": "gptq", "bits": bits, "group_size": group, "sym": sym, "desc_act": act_order,
                    "checkpoint_format": "gptq" if version == 1 else "gptq_v2", "lm_head": False}


def awq(group):
    order = [0, 2, 4, 6, 1, 3, 5, 7]

    def encode(name, w, rng):
        codes, scale, zero, group_of = integers(w, 4, group, False)
        def pack(columns):  # [lines, outputs]
            eight = columns.reshape(len(columns), -1, 8)[..., order]
            return tensor(pack_fields(eight.reshape(len(columns), -1), 4, 1))
        return value_of(codes, scale, zero, group_of), {"qweight": pack(codes.T), "qzeros": pack(zero.T),
                                                        "scales": tensor(scale.T)}
    return encode, {"quant_method": "awq", "bits": 4, "group_size": group, "zero_point": True, "version": "gemm",
                    "modules_to_not_convert": ["lm_head"]}


def compressed(format, weights):
    return {"quant_method": "compressed-tensors", "format": format, "quantization_status": "compressed",
            "ignore": ["lm_head"], "kv_cache_scheme": None,
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"dynamic": False, **weights},
                                          "input_activations": None, "output_activations": None}}}


def pack_quantized(bits, group, sym, act_order=False):
    def encode(name, w, rng):
        codes, scale, zero, group_of = integers(w, bits, group, sym, rng if act_order else None)
        scale = torch.from_numpy(scale.astype(np.float32)).to(torch.bfloat16)
        codes = np.clip(np.round(w / scale.double().numpy()[:, group_of]) + zero[:, group_of], 0, 2 ** bits - 1)
        codes = codes.astype(np.int64)
        value = value_of(codes, scale.float().numpy(), zero, group_of)
        if act_order:
            value = torch.from_numpy(value).to(torch.bfloat16).float().numpy()
        parts = {"weight_packed": tensor(pack_fields(codes, bits, 1)), "weight_scale": scale,
                 "weight_shape": torch.tensor(w.shape)}
        if not sym:
            parts["weight_zero_point"] = tensor(pack_fields(zero, bits, 0))
        if act_order:
            parts["weight_g_idx"] = tensor(group_of.astype(np.int32))
        return value, parts
    strategy = "channel" if group < 0 else "group"
    return encode, compressed("pack-quantized", {"num_bits": bits, "type": "int", "symmetric": sym, "strategy": strategy,
                                                 "group_size": None if group < 0 else group,
                                                 "actorder": "group" if act_order else None})


def int_quantized():
    def encode(name, w, rng):
        scale = torch.from_numpy(np.abs(w).max(1, keepdims=True) / 127.5).to(torch.bfloat16)
        codes = np.clip(np.round(w / scale.double().numpy()), -128, 127).astype(np.int8)
        return scale.float().numpy() * codes.astype(np.float32), {"weight": tensor(codes), "weight_scale": scale}
    return encode, compressed("int-quantized", {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"})


def to_e4m3(values):
    return torch.from_numpy(np.ascontiguousarray(values, np.float32)).clamp(-448, 448).to(torch.float8_e4m3fn)


def fp8_blocks(edge=128):
    """DeepSeek's: a factor for 128 x 128, named an inverse."""
    def encode(name, w, rng):
        rows, cols = (-(-n // edge) for n in w.shape)
        scale = np.zeros((rows, cols), np.float32)
        for i in range(rows):
            for j in range(cols):
                scale[i, j] = np.abs(w[i * edge:(i + 1) * edge, j * edge:(j + 1) * edge]).max() / 448
        wide = np.repeat(np.repeat(scale, edge, 0), edge, 1)[:w.shape[0], :w.shape[1]]
        codes = to_e4m3(w / wide)
        return wide * codes.float().numpy(), {"weight": codes, "weight_scale_inv": tensor(scale)}
    return encode, {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
                    "weight_block_size": [edge, edge]}


def float_quantized(strategy):
    def encode(name, w, rng):
        largest = np.abs(w).max(1, keepdims=True) if strategy == "channel" else np.abs(w).max().reshape(1, 1)
        scale = torch.from_numpy(largest / 448).to(torch.bfloat16)
        codes = to_e4m3(w / scale.float().numpy())
        stored = scale if strategy == "channel" else scale.reshape(1)
        return scale.float().numpy() * codes.float().numpy(), {"weight": codes, "weight_scale": stored}
    return encode, compressed("float-quantized", {"num_bits": 8, "type": "float", "symmetric": True,
                                                  "strategy": strategy})


E2M1 = np.array([0, .5, 1, 1.5, 2, 3, 4, 6, -0., -.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def to_e2m1(values):
    """Codes of the nearest values."""
    codes = np.abs(np.abs(values)[..., None] - E2M1[:8]).argmin(-1)
    return codes + 8 * (values < 0)


def pack_pairs(codes):
    return tensor((codes[:, 0::2] | codes[:, 1::2] << 4).astype(np.uint8))


def nvfp4():
    def encode(name, w, rng):
        divisor = np.float32(448 * 6 / np.abs(w).max())
        blocks = w.reshape(len(w), -1, 16)
        scale = to_e4m3(np.abs(blocks).max(-1) / 6 * divisor)
        wide = (scale.float().numpy() / divisor)[..., None]
        codes = to_e2m1(blocks / wide)
        value = torch.from_numpy((E2M1[codes] * wide).reshape(w.shape)).to(torch.bfloat16).float().numpy()
        return value, {"weight_packed": pack_pairs(codes.reshape(w.shape)), "weight_scale": scale,
                       "weight_global_scale": torch.tensor([divisor])}
    return encode, compressed("nvfp4-pack-quantized", {"num_bits": 4, "type": "float", "symmetric": True,
                                                       "strategy": "tensor_group", "group_size": 16})


def mxfp4():
    def encode(name, w, rng):
        blocks = w.reshape(len(w), -1, 32)
        exponent = np.floor(np.log2(np.abs(blocks).max(-1))).astype(np.int64) - 2
        codes = to_e2m1(blocks / np.exp2(exponent)[..., None])
        value = E2M1[codes] * np.exp2(exponent.astype(np.float32))[..., None]
        return value.reshape(w.shape).astype(np.float32), {
            "weight_packed": pack_pairs(codes.reshape(w.shape)), "weight_scale": tensor((exponent + 127).astype(np.uint8))}
    return encode, compressed("mxfp4-pack-quantized", {"num_bits": 4, "type": "float", "symmetric": True,
                                                       "strategy": "group", "group_size": 32})


MODELS = {
    "gptq-4-sym-128": gptq(4, 128, True), "gptq-4-asym-32-v2": gptq(4, 32, False, 2),
    "gptq-4-asym-64-act-order": gptq(4, 64, False, 1, True), "gptq-8-sym-column": gptq(8, -1, True),
    "gptq-3-asym-64": gptq(3, 64, False), "gptq-2-sym-32": gptq(2, 32, True, 2), "awq-4-64": awq(64),
    "ct-pack-4-sym-128": pack_quantized(4, 128, True), "ct-pack-4-asym-32": pack_quantized(4, 32, False),
    "ct-pack-4-act-order": pack_quantized(4, 64, True, True), "ct-pack-6-channel": pack_quantized(6, -1, True),
    "ct-int8": int_quantized(), "ct-fp8-channel": float_quantized("channel"), "ct-fp8-tensor": float_quantized("tensor"),
    "fp8-blocks": fp8_blocks(), "ct-nvfp4": nvfp4(), "ct-mxfp4": mxfp4(),
}


def check_compressed_tensors(config, parts, value):
    """The package's own decompression; it no longer has groups of columns that lie apart."""
    if "weight_g_idx" in parts:
        return
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationScheme
    scheme = QuantizationScheme(targets=["Linear"],
                                weights=config["config_groups"]["group_0"]["weights"])
    compressor = BaseCompressor.get_value_from_registry(config["format"])
    weight = compressor.decompress(dict(parts), scheme)["weight"].float().numpy()
    # It multiplies in bfloat16 where scales are.
    assert (np.abs(weight - value) <= 2 ** -7 * np.abs(value)).all(), config["format"]


def make(index, name):
    encode, quantization = MODELS[name]
    torch.manual_seed(7)
    config = LlamaConfig(**CONFIG, attn_implementation="eager")
    model = LlamaForCausalLM(config).float().eval()
    generator = torch.Generator().manual_seed(70)
    rng = np.random.default_rng([5, index])
    stored, hashes = {}, {}
    with torch.no_grad():
        for key, weight in model.state_dict().items():
            weight.copy_(torch.randn(weight.shape, generator=generator) * (1.4 / weight.shape[-1] ** 0.5))
            if key.endswith("norm.weight"):
                weight.copy_(1 + 0.1 * torch.randn(weight.shape, generator=generator))
            if "_proj" not in key:
                weight.copy_(weight.to(torch.float16).float())
                stored[key] = weight.to(torch.float16)
                continue
            value, parts = encode(key, weight.numpy().astype(np.float64), rng)
            if quantization["quant_method"] == "compressed-tensors":
                check_compressed_tensors(quantization, parts, value)
            value = np.ascontiguousarray(value, "<f4") + np.float32(0)  # zeros have one sign
            hashes[key] = hashlib.sha256(value.tobytes()).hexdigest()
            weight.copy_(torch.from_numpy(value))
            module = key.removesuffix(".weight")
            stored |= {f"{module}.{part}": data.contiguous() for part, data in parts.items()}
        logits = model(torch.tensor([PROMPT]), use_cache=False).logits[0].numpy()
    out = fixture.folder("quantized", name)
    save_file(stored, out / "model.safetensors", metadata={"format": "pt"})
    facts = config.to_dict() | {"architectures": ["LlamaForCausalLM"], "quantization_config": quantization}
    for key in ("transformers_version", "dtype", "_name_or_path"):
        facts.pop(key, None)
    (out / "config.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    fixture.write_array(out / "logits.f32", logits, "<f4")
    fixture.write_json(out / "expected.json", {"prompt": PROMPT, "sha256": hashes})
    print(f"{name}: {sum(t.nbytes for t in stored.values())} bytes, logits sd {logits.std():.2f}")


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    for index, name in enumerate(MODELS):
        make(index, name)


if __name__ == "__main__":
    main()
