"""golden/models/<name>/: tiny random models as GGUF and as a Hugging Face folder, with the logits they must give.

The folder is what transformers saves; the GGUF is written from the same weights with the conventions of llama.cpp's
converter (llama: rows of q and k reordered for rotation of neighbouring pairs; llama3 scaling as rope_freqs.weight),
or, for the models of converted_models.py, by that converter itself.
Logits and greedy continuations come from transformers in float32 with eager attention. reference.py computes them
again from the GGUF in float64, and this script fails if the two disagree; not of those that the converter has written.
"""
import json
import math
import sys

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
import transformers
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM

import bpe
import convert
import converted_models
import corpus
import fixture
import gguf_keys
import reference

VOCAB = 320
GREEDY_STEPS = 16
CHATML = ("{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}"
          "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")

COMMON = dict(vocab_size=VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=512, rms_norm_eps=1e-5, bos_token_id=317, eos_token_id=319,
              attn_implementation="eager")

# name: (config class, model class, config, tokenizer.ggml.pre, does config.json keep rope_theta and rope_scaling at
# the top level, as checkpoints from before transformers 5 do?)
MODELS = {
    "llama-tiny": (LlamaConfig, LlamaForCausalLM, dict(
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0}), "smollm", True),
    "llama3-tiny": (LlamaConfig, LlamaForCausalLM, dict(
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
                         "high_freq_factor": 4.0, "original_max_position_embeddings": 64}), "llama-bpe", True),
    "llama-linear-tiny": (LlamaConfig, LlamaForCausalLM, dict(
        hidden_size=96, num_attention_heads=2, num_key_value_heads=1, head_dim=32, tie_word_embeddings=True,
        rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}), "smollm", True),
    "mistral-tiny": (MistralConfig, MistralForCausalLM, dict(
        num_key_value_heads=1, intermediate_size=64, sliding_window=None, head_dim=16,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}), "smollm", False),
    "llama-yarn-tiny": (LlamaConfig, LlamaForCausalLM, dict(
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0,
                         "original_max_position_embeddings": 64}), "smollm", False),
    "qwen2-tiny": (Qwen2Config, Qwen2ForCausalLM, dict(
        tie_word_embeddings=True, rms_norm_eps=1e-6, use_sliding_window=False,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}), "qwen2", True),
}
# The same of architectures that came later: their classes by name.
DEFAULT_ROPE = {"rope_type": "default", "rope_theta": 10000.0}
for _name, _family, _options, _pre in [
    ("qwen3-tiny", "Qwen3", dict(head_dim=32, num_attention_heads=2, num_key_value_heads=1, rms_norm_eps=1e-6,
                                 tie_word_embeddings=True, rope_parameters=DEFAULT_ROPE), "qwen2"),
    ("olmo2-tiny", "Olmo2", dict(tie_word_embeddings=False, rope_parameters=DEFAULT_ROPE), "smollm"),
    ("smollm3-tiny", "SmolLM3", dict(num_hidden_layers=4, hidden_size=48, head_dim=12, intermediate_size=64,
                                     tie_word_embeddings=True, pad_token_id=318,
                                     rope_parameters={"rope_type": "default", "rope_theta": 5000000.0}), "smollm"),
    ("granite-tiny", "Granite", dict(tie_word_embeddings=False, embedding_multiplier=6.0, attention_multiplier=0.2,
                                     residual_multiplier=0.4, logits_scaling=0.8,
                                     rope_parameters=DEFAULT_ROPE), "smollm"),
    ("qwen3moe-tiny", "Qwen3Moe", dict(head_dim=16, num_attention_heads=2, num_key_value_heads=1, rms_norm_eps=1e-6,
                                       hidden_size=48, num_experts=6, num_experts_per_tok=2, moe_intermediate_size=32,
                                       norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[],
                                       tie_word_embeddings=True, rope_parameters=DEFAULT_ROPE), "qwen2"),
    ("mixtral-tiny", "Mixtral", dict(hidden_size=48, intermediate_size=32, num_attention_heads=2, num_key_value_heads=1,
                                     num_local_experts=4, num_experts_per_tok=2, sliding_window=None,
                                     tie_word_embeddings=False, rope_parameters=DEFAULT_ROPE), "smollm"),
    # Served up to 400 positions, the first with the short factors, the second with the long ones.
    ("phi3-tiny", "Phi3", dict(tie_word_embeddings=False, sliding_window=None, pad_token_id=318,
                               max_position_embeddings=1024, original_max_position_embeddings=512,
                               rope_parameters={"rope_type": "longrope", "rope_theta": 10000.0,
                                                "short_factor": [1.0, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6],
                                                "long_factor": [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 12.0]}), "smollm"),
    ("phi3-long-tiny", "Phi3", dict(tie_word_embeddings=True, sliding_window=None, pad_token_id=318,
                                    original_max_position_embeddings=16,
                                    rope_parameters={"rope_type": "longrope", "rope_theta": 10000.0,
                                                     "partial_rotary_factor": 0.75,
                                                     "short_factor": [1.0, 1.0, 1.1, 1.2, 1.3, 1.4],
                                                     "long_factor": [1.0, 1.5, 2.0, 3.0, 4.0, 6.0]}), "smollm"),
    ("gemma2-tiny", "Gemma2", dict(num_hidden_layers=4, hidden_size=48, head_dim=16, num_attention_heads=2,
                                   num_key_value_heads=1, intermediate_size=64, sliding_window=40,
                                   query_pre_attn_scalar=16, attn_logit_softcapping=5.0, final_logit_softcapping=8.0,
                                   tie_word_embeddings=True, rope_parameters=DEFAULT_ROPE), "smollm"),
    ("gemma3-tiny", "Gemma3", dict(num_hidden_layers=7, hidden_size=32, head_dim=16, num_attention_heads=2,
                                   num_key_value_heads=1, intermediate_size=48, sliding_window=40,
                                   query_pre_attn_scalar=16, tie_word_embeddings=True,
                                   rope_parameters={
                                       "full_attention": {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 8.0},
                                       "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}), "smollm"),
]:
    _config = {"Gemma3": "Gemma3TextConfig"}.get(_family, f"{_family}Config")
    MODELS[_name] = (getattr(transformers, _config), getattr(transformers, f"{_family}ForCausalLM"), _options, _pre, False)
for _name, (_family, _options, _pre) in converted_models.MODELS.items():
    _head = {"GPT2": "LMHeadModel"}.get(_family, "ForCausalLM")
    _config = {"Llama4": "Llama4TextConfig"}.get(_family, f"{_family}Config")
    MODELS[_name] = (getattr(transformers, _config), getattr(transformers, f"{_family}{_head}"), _options, _pre, False)


MODELS["mistral-window-tiny"] = (MistralConfig, MistralForCausalLM, dict(
    num_key_value_heads=1, intermediate_size=64, sliding_window=40, head_dim=16, rope_parameters=DEFAULT_ROPE), "smollm", False)
MODELS["llama4-tiny"] = MODELS.pop("llama4-tiny")  # a place in the order is a seed: new ones go last
MODELS["qwen3next-tiny"] = MODELS.pop("qwen3next-tiny")

# transformers chooses factors by the length at hand: longer than the original context.
LENGTHS = {"phi3-long-tiny": (18, 40, 300)}

# Deeper models amplify rounding more: smaller products keep them as well conditioned as the others.
GAINS = {"smollm3-tiny": 0.9, "mixtral-tiny": 1.0, "phi3-tiny": 1.2, "phi3-long-tiny": 1.1, "qwen3moe-tiny": 1.2, "gemma3-tiny": 1.1, "gemma2-tiny": 1.1,
         "gpt2-tiny": 2.5, "mistral-window-tiny": 1.2, "olmoe-tiny": 1.2, "lfm2-tiny": 1.2,
         "deepseek3-tiny": 1.1}


def weights_of(model):
    """Parameters and what else is saved with them, tied ones once."""
    saved = model.state_dict()
    return [*model.named_parameters(), *((name, buffer) for name, buffer in model.named_buffers() if name in saved)]


def randomize(model, generator, gain=1.6):
    """Weights that matter everywhere: norms around 1, non-zero biases, logits spread over several units."""
    gemma = "Gemma" in type(model).__name__
    from_one = gemma or "Qwen3Next" in type(model).__name__  # norms that are kept as their distance from 1
    for name, weight in weights_of(model):
        noise = torch.randn(weight.shape, generator=generator)
        if name.endswith("bias"):
            value = 0.5 * noise
        elif "norm" in name.lower() or ".ln_" in name:
            # Gemma keeps the distance from 1. Its layers must outweigh its scaled embeddings, or a tied head repeats.
            kept = 0.0 if from_one and "linear_attn" not in name else 1.0
            value = (1.5 * ("post_" in name) if gemma else kept) + 0.25 * noise
        elif name.endswith("A_log"):  # a token keeps from nearly all to little of the state
            value = noise - 1.5
        elif "embed_tokens" in name or ".wte" in name or ".wpe" in name:
            value = noise * (0.15 if gemma else 0.35)   # also the head where the two are tied
        elif "lm_head" in name:
            value = noise * 0.35
        else:
            value = noise * (gain / math.sqrt(weight.shape[-1]))
        weight.data.copy_(value)


def experts_apart(name, weight, model_type):
    """Names and tensors as checkpoints have them: a tensor an expert and product, where transformers stacks them."""
    mixtral = model_type == "mixtral"
    if mixtral:
        name = name.replace(".mlp.", ".block_sparse_moe.")
    if ".experts." not in name or model_type in ("gpt_oss", "llama4_text"):  # which have them stacked
        return [(name, weight)]
    prefix, product = name.rsplit(".", 1)
    names = {"gate_up_proj": ("w1", "w3") if mixtral else ("gate_proj", "up_proj"),
             "down_proj": ("w2",) if mixtral else ("down_proj",)}[product]
    return [(f"{prefix}.{expert}.{own}.weight", part.contiguous()) for expert, matrix in enumerate(weight)
            for own, part in zip(names, matrix.chunk(len(names)))]


def save_hf(model, config, old_layout, vocabulary, folder):
    """config.json, model.safetensors, tokenizer.json and tokenizer_config.json."""
    described = config.to_dict()
    kept = {key: value for key, value in described.items()
            if (value is not None or key == "q_lora_rank") and key not in ("transformers_version", "_name_or_path", "return_dict", "chunk_size_feed_forward",
                                                 "output_attentions", "output_hidden_states", "id2label", "label2id",
                                                 "is_encoder_decoder", "problem_type", "pretraining_tp", "mlp_bias")}
    kept["architectures"] = [type(model).__name__]
    kept["torch_dtype" if old_layout else "dtype"] = "float32"
    kept.pop("dtype" if old_layout else "torch_dtype", None)
    if old_layout:
        rope = dict(kept.pop("rope_parameters"))
        kept["rope_theta"] = rope.pop("rope_theta")
        kept["rope_scaling"] = rope if rope["rope_type"] != "default" else None
    (folder / "config.json").write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")
    weights = dict(own for name, weight in weights_of(model)
                   for own in experts_apart(name, weight.data.contiguous(), config.model_type))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    bpe.encoder(vocabulary, {bpe.CONTROL}).save(str(folder / "tokenizer.json"), pretty=False)
    fixture.write_json(folder / "tokenizer_config.json", {
        "add_bos_token": False, "bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
        "chat_template": CHATML, "tokenizer_class": "PreTrainedTokenizerFast"})


GGUF_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "self_attn.o_proj": "attn_output", "mlp.gate": "ffn_gate_inp", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}


OWN_NAMES = {
    "olmo2": {"post_attention_layernorm": "post_attention_norm", "post_feedforward_layernorm": "post_ffw_norm"},
    "gemma": {"post_attention_layernorm": "post_attention_norm", "post_feedforward_layernorm": "post_ffw_norm",
              "pre_feedforward_layernorm": "ffn_norm"},
}


def gguf_name(name, model_type):
    """model.layers.3.self_attn.q_proj.bias -> blk.3.attn_q.bias"""
    if name in GGUF_NAMES:
        return GGUF_NAMES[name]
    layer, rest = name.removeprefix("model.layers.").split(".", 1)
    part, kind = rest.rsplit(".", 1)
    own = next((names for prefix, names in OWN_NAMES.items() if model_type.startswith(prefix)), {})
    return f"blk.{layer}.{own.get(part) or GGUF_NAMES[part]}.{kind}"


def pair_neighbours(weight, heads):
    """Reorders each head's rows from (first half, second half) to (0, half, 1, half + 1, ...)."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1)
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(weight.shape)


def llama3_factors(head_dim, rope):
    """What each frequency is divided by."""
    factors = []
    for i in range(0, head_dim, 2):
        wavelength = 2 * math.pi * rope["rope_theta"] ** (i / head_dim)
        turns = rope["original_max_position_embeddings"] / wavelength
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        share = min(max((turns - low) / (high - low), 0.0), 1.0)
        factors.append(1.0 / ((1.0 - share) / rope["factor"] + share))
    return np.array(factors, np.float32)


def write_gguf(path, name, model, config, vocabulary):
    arch = gguf_keys.ARCHS.get(config.model_type, "llama")
    rope = config.rope_parameters.get("full_attention", config.rope_parameters)
    permuted = arch in gguf_keys.NEIGHBOURS
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer = gguf.GGUFWriter(path, arch)
    writer.add_type("model")
    writer.add_name(name)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if rope["rope_type"] in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if head_dim != config.hidden_size // config.num_attention_heads or config.model_type == "mistral":
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    gguf_keys.add(writer, arch, config)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    if permuted:
        writer.add_vocab_size(config.vocab_size)
        writer.add_rope_dimension_count(head_dim)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    bpe.add_to_gguf(writer, vocabulary)

    if rope["rope_type"] == "longrope":
        for kind in ("long", "short"):
            writer.add_tensor(f"rope_factors_{kind}.weight", np.array(rope[f"{kind}_factor"], np.float32))
    if rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_factors(head_dim, rope))
    for source, weight in model.named_parameters():
        data = weight.data.numpy()
        if permuted and "q_proj" in source:
            data = pair_neighbours(data, config.num_attention_heads)
        if permuted and "k_proj" in source:
            data = pair_neighbours(data, config.num_key_value_heads)
        if arch.startswith("gemma") and "norm" in source:
            data = data + np.float32(1)
        if ".experts." in source:
            layer = source.split(".")[2]
            names = ("gate", "up") if source.endswith("gate_up_proj") else ("down",)
            for own, part in zip(names, np.split(data, len(names), axis=1)):
                writer.add_tensor(f"blk.{layer}.ffn_{own}_exps.weight", np.ascontiguousarray(part))
            continue
        writer.add_tensor(gguf_name(source, config.model_type), data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@torch.no_grad()
def logits_of(model, ids):
    return model(torch.tensor([ids]), use_cache=False).logits[0].numpy()


def greedy(model, ids):
    """Continuation and the gap between the two best logits at each step."""
    ids, gaps = list(ids), []
    for _ in range(GREEDY_STEPS):
        last = logits_of(model, ids)[-1]
        second, best = np.partition(last, -2)[-2:]
        gaps.append(float(best - second))
        ids.append(int(last.argmax()))
    return ids[-GREEDY_STEPS:], gaps


def clear_prompt(model, index, length):
    """A random prompt whose greedy continuation neither loops nor has a near tie (safe under another order of additions)."""
    for attempt in range(100):
        ids = np.random.default_rng([2, index, length, attempt]).integers(0, VOCAB - 3, length).tolist()
        continuation, gaps = greedy(model, ids)
        if min(gaps) > 0.02 and len(set(continuation)) > 4:
            return ids, continuation, gaps
    raise RuntimeError("no prompt without a near tie")


def tokenizer(pre):
    extra = [(token, bpe.CONTROL) for token in ("<|im_start|>", "<|endoftext|>", "<|im_end|>")]
    vocabulary = bpe.train(pre, VOCAB, corpus.english(), extra)
    vocabulary.keys = {"bos_token_id": 317, "eos_token_id": 319, "padding_token_id": 318, "add_bos_token": False}
    vocabulary.chat_template = CHATML
    return vocabulary


def make(index, name):
    config_class, model_class, options, pre, old_layout = MODELS[name]
    config = config_class(**{**COMMON, **options})
    torch.manual_seed(index)
    model = model_class(config).float().eval()
    randomize(model, torch.Generator().manual_seed(1000 + index), GAINS.get(name, 1.6))

    out = fixture.folder("models", name)
    vocabulary = tokenizer(pre)
    save_hf(model, config, old_layout, vocabulary, fixture.folder("models", name, "hf"))
    if name in converted_models.MODELS:
        convert.convert(out / "hf", out / "model.gguf", name, pre, converted_models.FACTS.get(name))
    else:
        write_gguf(out / "model.gguf", name, model, config, vocabulary)

    # Both files must give the same logits as the model in memory.
    loaded = model_class.from_pretrained(out / "hf", attn_implementation="eager", dtype=torch.float32).eval()
    prompts, stored, greedy_ids, gaps, blocks = [], [], [], [], []
    for length in LENGTHS.get(name, (1, 17, 300)):
        ids, continuation, gap = clear_prompt(model, index, length)
        logits = logits_of(model, ids)
        assert np.abs(logits - logits_of(loaded, ids)).max() < 1e-5, name
        error = 0.0
        if name not in converted_models.MODELS:
            error = np.abs(logits - reference.logits(out / "model.gguf", ids)).max()
        assert error < 2e-4, (name, length, error)
        positions = list(range(length)) if length <= 17 else np.linspace(0, length - 1, 24).round().astype(int).tolist()
        prompts.append({"name": f"p{length}", "ids": ids})
        stored.append(positions)
        greedy_ids.append(continuation)
        gaps.append([round(g, 6) for g in gap])
        blocks.append(logits[positions])
        print(f"{name} p{length}: logits in [{logits.min():.2f}, {logits.max():.2f}], sd {logits.std():.2f}, "
              f"float32-float64 {error:.1e}, least gap {min(gap):.4f}, distinct greedy {len(set(continuation))}")
    fixture.write_array(out / "logits.f32", np.concatenate(blocks), "<f4")
    fixture.write_json(out / "expected.json",
                       {"prompts": prompts, "positions": stored, "greedy": greedy_ids, "gaps": gaps})


def main():
    torch.set_num_threads(1)  # one order of float additions
    for index, name in enumerate(MODELS):
        if len(sys.argv) < 2 or name in sys.argv[1:]:  # one after the other, or those named
            make(index, name)


if __name__ == "__main__":
    main()
