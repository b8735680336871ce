"""Checks what `tern synth` writes with other programs: the gguf package reads it, and each tensor has the type that
llama-quantize would give it.

    python check_synthetic.py TERN LLAMA_QUANTIZE [CONFIG...]

Needs the packages of requirements.txt and a llama.cpp build (bench/peers/llama_cpp.py makes one). CONFIG as for
`tern synth`; the default is a few small shapes that reach every rule.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

from gguf import GGUFReader

TYPES = "q2_k q3_k_s q3_k_m q3_k_l q4_0 q4_1 q4_k_s q4_k_m q5_0 q5_1 q5_k_s q5_k_m q6_k q8_0 iq4_nl iq4_xs".split()


def shape(architecture, layers, heads, kv_heads, tied, hidden=512, ffn=1536):
    return {"architectures": [architecture], "hidden_size": hidden, "intermediate_size": ffn, "rms_norm_eps": 1e-5,
            "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv_heads,
            "vocab_size": 1000, "max_position_embeddings": 512, "tie_word_embeddings": tied}


SHAPES = {
    "grouped": shape("LlamaForCausalLM", 32, 8, 2, False),
    "separate": shape("LlamaForCausalLM", 17, 8, 8, False),
    "tied": shape("Qwen2ForCausalLM", 24, 8, 4, True),
    "70b": shape("LlamaForCausalLM", 80, 8, 1, False),
    "narrow": shape("Qwen2ForCausalLM", 9, 7, 1, False, hidden=448, ffn=1216),
    "odd": shape("LlamaForCausalLM", 8, 8, 2, True, hidden=512, ffn=1000),
}


def tern_types(tern, config, kind, path):
    subprocess.run([tern, "synth", config, "--type", kind, "-o", path], check=True, capture_output=True)
    return {tensor.name: tensor.tensor_type.name.lower() for tensor in GGUFReader(path).tensors}


def quantizer_types(quantize, path, kind):
    run = subprocess.run([quantize, "--dry-run", path, kind.upper()], check=True, capture_output=True, text=True)
    types = {}
    for line in (run.stdout + run.stderr).splitlines():
        name = re.match(r".*\[\s*\d+/\s*\d+\]\s+(\S+)\s+-", line)
        words = re.findall(r"\b(f32|f16|bf16|q\d_\w+|iq\d_\w+|mxfp4)\b", line)
        if name and words:
            types[name[1]] = words[-1].lower()
    return types


def main():
    tern, quantize, *configs = sys.argv[1:]
    wrong = compared = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, facts in ({} if configs else SHAPES).items():
            path = pathlib.Path(folder, name + ".json")
            path.write_text(json.dumps(facts))
            configs.append(str(path))
        for config in configs:
            plain, file = str(pathlib.Path(folder, "f16.gguf")), str(pathlib.Path(folder, "one.gguf"))
            names = tern_types(tern, config, "f16", plain)
            for kind in TYPES:
                try:
                    got = tern_types(tern, config, kind, file)
                except subprocess.CalledProcessError as error:
                    print(f"{config} {kind}: not written: {error.stderr.decode().strip()[:100]}")
                    continue
                wanted = quantizer_types(quantize, plain, kind)
                assert wanted.keys() == names.keys() == got.keys(), "the quantizer lists other tensors"
                for tensor, type_name in wanted.items():
                    compared += 1
                    if got[tensor] != type_name:
                        wrong += 1
                        print(f"{config} {kind} {tensor}: {got[tensor]}, llama-quantize says {type_name}")
    print(f"{compared} tensors compared, {wrong} differ")
    return 1 if wrong or not compared else 0


if __name__ == "__main__":
    sys.exit(main())
