"""Writes the seeds of fuzz_config_json, fuzz_vocabulary and fuzz_jinja that are made of other files: make_seeds.py."""
import json
import struct
from pathlib import Path

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parent / "golden"
BYTES = {"I32": 4, "I8": 1, "U8": 1, "F8_E4M3": 1, "BF16": 2, "F16": 2, "F32": 4}


def safetensors(tensors):
    header, at = {}, 0
    for name, (dtype, shape) in tensors.items():
        size = BYTES[dtype]
        for side in shape:
            size *= side
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(at)


# The smallest module of each method: 32 outputs, 64 inputs.
GPTQ = {"m.qweight": ("I32", [8, 32]), "m.qzeros": ("I32", [2, 4]), "m.scales": ("F16", [2, 32]), "m.g_idx": ("I32", [64])}
MODULES = {
    "gptq-4-sym-128": GPTQ,
    "gptq-4-asym-64-act-order": GPTQ,
    "awq-4-64": {"m.qweight": ("I32", [64, 4]), "m.qzeros": ("I32", [1, 4]), "m.scales": ("F16", [1, 32])},
    "ct-pack-4-asym-32": {"m.weight_packed": ("I32", [32, 8]), "m.weight_scale": ("BF16", [32, 2]),
                          "m.weight_zero_point": ("I32", [4, 2]), "m.weight_shape": ("I32", [2])},
    "ct-int8": {"m.weight": ("I8", [32, 64]), "m.weight_scale": ("BF16", [32, 1])},
    "ct-fp8-channel": {"m.weight": ("F8_E4M3", [32, 64]), "m.weight_scale": ("BF16", [32, 1])},
    "fp8-blocks": {"m.weight": ("F8_E4M3", [32, 64]), "m.weight_scale_inv": ("F32", [1, 1])},
    "ct-nvfp4": {"m.weight_packed": ("U8", [32, 32]), "m.weight_scale": ("F8_E4M3", [32, 4]),
                 "m.weight_global_scale": ("F32", [1])},
    "ct-mxfp4": {"m.weight_packed": ("U8", [32, 32]), "m.weight_scale": ("U8", [32, 2])},
}


def compact(path):
    return json.dumps(json.loads(path.read_text()), separators=(",", ":")).encode()


def configs():
    for path in sorted(GOLDEN.glob("*/*/hf/config.json")):
        config = json.loads(path.read_text())
        if "vocab_size" in config:
            config["vocab_size"] = 256  # as many rows as the target's embedding has
        yield path.parts[-3], json.dumps(config, separators=(",", ":")).encode()
    for name, tensors in MODULES.items():
        config = json.loads((GOLDEN / "quantized" / name / "config.json").read_text())
        kept = {key: config[key] for key in ("architectures", "quantization_config")}
        yield name, json.dumps(kept, separators=(",", ":")).encode() + b"\0" + safetensors(tensors)


def vocabularies():
    end = "\x1f"
    pieces = end.join(["3<s>", "3</s>", "2<unk>", "4<user>", "*", "1he", "1ll", "1hell", "1hello", "1\u0120hello"])
    merges = end.join(["h e", "l l", "he ll", "hell o", "\u0120 hello"])
    text = "<s>hello hello\u00e9 <user>\u5bf8 12's \xff</s>"
    for pre in ("default", "gpt-2", "llama-bpe", "qwen2", "tekken", "deepseek-v3", "gpt-4o", "smollm"):
        keys = end.join(["model=gpt2", f"pre={pre}", "bos_token_id=0", "eos_token_id=1", "add_eos_token=true"])
        yield f"bpe-{pre}", "\0".join([keys, pieces, merges, "", text])
    spaces = end.join(["3<s>", "3</s>", "2<unk>", "4<user>", "*", "1\u2581", "1h", "1e", "1l", "1o", "1he", "1ll", "1\u2581he", "1hello"])
    for prefix in ("true", "false"):
        keys = end.join(["model=llama", "bos_token_id=0", "unknown_token_id=2", f"add_space_prefix={prefix}"])
        yield f"spm-{prefix}", "\0".join([keys, spaces, "", "", text])
    yield "spm-scores", "\0".join(["model=llama", "2<unk>\x1f1a\x1f1aa\x1f1aaa", "", "0\x1f-1\x1f-3.5\x1f-2\x1f!", "aaaaa"])


def templates():
    for line in (GOLDEN / "templates" / "cases.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        kind, _, chat = row["name"].partition("/")
        if chat == "tools" and kind != "smollm2":
            yield kind, json.dumps(row["messages"], ensure_ascii=False, separators=(",", ":")) + "\0" + row["template"]


def write(folder, name, data):
    path = HERE / "seeds" / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def main():
    for name, data in configs():
        write("config_json", name, data)
    for name, data in vocabularies():
        write("vocabulary", name, data)
    for name, data in templates():
        write("jinja", name, data)


if __name__ == "__main__":
    main()
