"""What GGUF files of each architecture hold beside the keys that all have, as llama.cpp's converter writes them."""

# transformers' model_type -> general.architecture, where that is not llama
ARCHS = {"qwen2": "qwen2", "qwen3": "qwen3", "olmo2": "olmo2", "smollm3": "smollm3", "granite": "granite",
         "gemma2": "gemma2", "gemma3_text": "gemma3"}
# Whose rows of q and k are reordered for rotation of neighbouring pairs.
NEIGHBOURS = {"llama", "smollm3", "granite"}


def add(writer, arch, config):
    if arch == "granite":
        writer.add_embedding_scale(config.embedding_multiplier)
        writer.add_attention_scale(config.attention_multiplier)
        writer.add_residual_scale(config.residual_multiplier)
        writer.add_logit_scale(config.logits_scaling)
    if arch.startswith("gemma"):
        writer.add_sliding_window(config.sliding_window)
    if arch == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
