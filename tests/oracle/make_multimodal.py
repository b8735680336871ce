"""golden/models/<name>-image-tiny/hf: tiny random models that see, as folders alone, with the logits of text that they
must give. Their config.json has what real ones have: a text_config inside, without what its class has by default; their
tensors stand under the prefixes of real ones.
"""
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

import bpe
import fixture
import make_models

TEXT = dict(vocab_size=make_models.VOCAB, hidden_size=32, head_dim=16, bos_token_id=317, eos_token_id=319)
VISION = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1, image_size=28, patch_size=14)

# name: (family, text_config, vision_config, options outside, gain)
MODELS = {
    # 4 KV heads, a context of 131,072, a rotation by 1e6 and scores by 1 / 16 are not said: the class has them.
    "gemma3-image-tiny": ("Gemma3", dict(
        num_hidden_layers=7, num_attention_heads=4, num_key_value_heads=4, intermediate_size=48, sliding_window=40,
        rope_parameters={"full_attention": {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 8.0},
                         "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}),
        VISION, dict(mm_tokens_per_image=4), 1.1),
    "llama4-image-tiny": ("Llama4", dict(
        num_hidden_layers=4, num_attention_heads=2, num_key_value_heads=1, intermediate_size=32, intermediate_size_mlp=48,
        num_local_experts=4, interleave_moe_layer_step=2, attention_chunk_size=40, floor_scale=100, attn_scale=0.4),
        dict(VISION, intermediate_size=64, vision_output_dim=16, projector_input_dim=16, projector_output_dim=16),
        {}, 1.6),
    "mistral3-image-tiny": ("Mistral3", dict(
        model_type="mistral", num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=48,
        sliding_window=None, max_position_embeddings=512),
        dict(VISION, model_type="pixtral"), dict(tie_word_embeddings=False), 1.6),
}
UNSAID = ("transformers_version", "_name_or_path", "return_dict", "chunk_size_feed_forward", "output_attentions",
          "output_hidden_states", "id2label", "label2id", "is_encoder_decoder", "problem_type", "dtype", "architectures")


def said(part, absent):
    return {key: value for key, value in part.items()
            if value is not None and key not in UNSAID and (key not in absent or absent[key] != value)}


def described(name, config):
    """config.json as real ones of the family are."""
    whole = config.to_dict()
    family = MODELS[name][0]
    text = said(whole["text_config"], {} if family == "Mistral3" else type(config.text_config)().to_dict())
    text["model_type"] = whole["text_config"]["model_type"]
    if family == "Gemma3":
        text["rope_scaling"] = {"factor": 8.0, "rope_type": "linear"}
        del text["rope_parameters"], text["layer_types"]  # every sixth layer sees all, by default
    return {**said(whole, {}), "text_config": text, "vision_config": said(whole["vision_config"], {}),
            "architectures": [f"{family}ForConditionalGeneration"], "dtype": "float32"}


def under_other_prefixes(name, weights):
    """Mistral 3 as transformers saved it for a while; the others as they are released."""
    if not name.startswith("mistral3"):
        return weights
    return {key.replace("language_model.lm_head.", "lm_head.").replace("language_model.model.", "model.language_model."):
            value for key, value in weights.items()}


def save(name, model, config, folder):
    with tempfile.TemporaryDirectory() as saved:
        model.save_pretrained(saved)
        weights = load_file(Path(saved) / "model.safetensors")
    save_file(under_other_prefixes(name, weights), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    (folder / "config.json").write_text(json.dumps(described(name, config), indent=2, sort_keys=True) + "\n")
    bpe.encoder(make_models.tokenizer("smollm"), {bpe.CONTROL}).save(str(folder / "tokenizer.json"), pretty=False)
    fixture.write_json(folder / "tokenizer_config.json", {
        "add_bos_token": False, "bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
        "chat_template": make_models.CHATML, "tokenizer_class": "PreTrainedTokenizerFast"})


def of_text(model):
    """What turns tokens into logits: of Llama 4 the part alone, as its whole fails without an image in transformers 5."""
    return model.language_model if hasattr(model, "language_model") and hasattr(model.language_model, "lm_head") else model


def make(index, name):
    family, text, vision, outside, gain = MODELS[name]
    config = getattr(transformers, f"{family}Config")(text_config={**TEXT, **text}, vision_config=vision, **outside,
                                                      attn_implementation="eager")
    model_class = getattr(transformers, f"{family}ForConditionalGeneration")
    torch.manual_seed(index)
    model = model_class(config).float().eval()
    make_models.randomize(model, torch.Generator().manual_seed(2000 + index), gain)
    out = fixture.folder("models", name)
    save(name, model, config, fixture.folder("models", name, "hf"))
    loaded = model_class.from_pretrained(out / "hf", attn_implementation="eager", dtype=torch.float32).eval()
    expected = {"prompts": [], "positions": [], "greedy": [], "gaps": []}
    blocks = []
    for length in (1, 17, 300):
        ids, continuation, gaps = make_models.clear_prompt(of_text(model), 100 + index, length)
        logits = make_models.logits_of(of_text(model), ids)
        assert np.abs(logits - make_models.logits_of(of_text(loaded), ids)).max() < 1e-5, name
        positions = list(range(length)) if length <= 17 else np.linspace(0, length - 1, 24).round().astype(int).tolist()
        expected["prompts"].append({"name": f"p{length}", "ids": ids})
        expected["positions"].append(positions)
        expected["greedy"].append(continuation)
        expected["gaps"].append([round(gap, 6) for gap in gaps])
        blocks.append(logits[positions])
        print(f"{name} p{length}: logits in [{logits.min():.2f}, {logits.max():.2f}], sd {logits.std():.2f}, "
              f"least gap {min(gaps):.4f}")
    fixture.write_array(out / "logits.f32", np.concatenate(blocks), "<f4")
    fixture.write_json(out / "expected.json", expected)


def main():
    torch.set_num_threads(1)
    for index, name in enumerate(MODELS):
        if len(sys.argv) < 2 or name in sys.argv[1:]:
            make(index, name)


if __name__ == "__main__":
    main()
