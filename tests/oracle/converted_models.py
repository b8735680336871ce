"""Tiny models whose GGUF files llama.cpp's converter writes (convert.py): what make_models.py needs to know of them."""

DEFAULT_ROPE = {"rope_type": "default", "rope_theta": 10000.0}

# name: (family, options beside make_models.COMMON, tokenizer.ggml.pre)
MODELS = {
    # Heads of 16 with a window of 40 in the first layer; YaRN with a ramp between pairs.
    "gptoss-tiny": ("GptOss", dict(
        hidden_size=48, head_dim=16, num_attention_heads=4, num_key_value_heads=2, intermediate_size=32,
        num_local_experts=6, num_experts_per_tok=2, sliding_window=40, tie_word_embeddings=False,
        rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "beta_fast": 32.0, "beta_slow": 1.0,
                         "truncate": False, "original_max_position_embeddings": 128}), "smollm"),
    # Queries of the layer's input, a softmax over all experts, the best of groups' best; the first layer dense.
    "deepseek2-tiny": ("DeepseekV2", dict(
        hidden_size=48, num_attention_heads=3, num_key_value_heads=3, q_lora_rank=None, kv_lora_rank=32,
        qk_nope_head_dim=16, qk_rope_head_dim=16, v_head_dim=24, first_k_dense_replace=1, n_routed_experts=8,
        num_experts_per_tok=2, n_shared_experts=2, moe_intermediate_size=32, routed_scaling_factor=1.5,
        topk_method="group_limited_greedy", n_group=4, topk_group=2, norm_topk_prob=False, rms_norm_eps=1e-6,
        tie_word_embeddings=False, rope_parameters=DEFAULT_ROPE), "smollm"),
    # Narrow queries, sigmoids with a bias of the choice, groups by their best two, YaRN with its share of the scores.
    "deepseek3-tiny": ("DeepseekV3", dict(
        num_hidden_layers=3, hidden_size=48, num_attention_heads=4, num_key_value_heads=4, q_lora_rank=24,
        kv_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=16, v_head_dim=16, first_k_dense_replace=1,
        n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=1, moe_intermediate_size=32,
        routed_scaling_factor=2.5, n_group=4, topk_group=2, norm_topk_prob=True, scoring_func="sigmoid",
        rms_norm_eps=1e-6, tie_word_embeddings=False,
        rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "beta_fast": 32.0, "beta_slow": 1.0,
                         "mscale": 1.0, "mscale_all_dim": 1.0, "original_max_position_embeddings": 128}), "smollm"),
    # Layer norms, learned positions, no gate, biases; every matrix transposed in the folder.
    "gpt2-tiny": ("GPT2", dict(n_ctx=512, intermediate_size=None, num_key_value_heads=None, rms_norm_eps=None,
                                activation_function="gelu_new", tie_word_embeddings=True), "smollm"),
    # Layer norms, rotated positions, no gate, biases.
    "starcoder2-tiny": ("Starcoder2", dict(
        sliding_window=None, norm_epsilon=1e-5, hidden_act="gelu_pytorch_tanh", use_bias=True, tie_word_embeddings=False,
        rope_parameters=DEFAULT_ROPE), "smollm"),
    # Parallel blocks, layer norms without a bias, scaled logits.
    "command-r-tiny": ("Cohere", dict(
        layer_norm_eps=1e-5, logit_scale=0.5, use_qk_norm=False, attention_bias=False, tie_word_embeddings=True,
        rope_parameters=DEFAULT_ROPE), "smollm"),
    # The same with a window in three of four layers, the fourth without rotation.
    "cohere2-tiny": ("Cohere2", dict(
        num_hidden_layers=4, hidden_size=32, num_attention_heads=2, num_key_value_heads=1, intermediate_size=48,
        layer_norm_eps=1e-5, logit_scale=0.5, sliding_window=40, rotary_pct=1.0, attention_bias=False,
        tie_word_embeddings=True, rope_parameters=DEFAULT_ROPE), "smollm"),
    # Norms of all heads together in front of experts whose weights do not sum to 1.
    "olmoe-tiny": ("Olmoe", dict(
        num_hidden_layers=2, hidden_size=48, num_attention_heads=3, num_key_value_heads=3, intermediate_size=32,
        num_experts=6, num_experts_per_tok=2, norm_topk_prob=False, clip_qkv=None, tie_word_embeddings=False,
        rope_parameters=DEFAULT_ROPE), "smollm"),
    # Short convolutions in three of four layers, the last one among them; attention in one.
    "lfm2-tiny": ("Lfm2", dict(
        num_hidden_layers=4, hidden_size=48, num_attention_heads=3, num_key_value_heads=1, intermediate_size=72,
        block_multiple_of=32, norm_eps=1e-5, conv_L_cache=3, tie_word_embeddings=True,
        layer_types=["conv", "full_attention", "conv", "conv"], rope_parameters=DEFAULT_ROPE), "smollm"),
    # Chunks of 40 in three of four layers, experts in every other one, queries that grow from position 99 on.
    "llama4-tiny": ("Llama4", dict(
        num_hidden_layers=4, hidden_size=32, head_dim=16, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=32, intermediate_size_mlp=48, num_local_experts=4, num_experts_per_tok=1,
        interleave_moe_layer_step=2, attention_chunk_size=40, floor_scale=100, attn_scale=0.4,
        tie_word_embeddings=False, rope_parameters=DEFAULT_ROPE), "smollm"),
    # Gated delta nets of two value heads a key head around attention with a gate, a quarter of whose heads rotates.
    "qwen3next-tiny": ("Qwen3Next", dict(
        num_hidden_layers=3, hidden_size=32, head_dim=16, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=32, rms_norm_eps=1e-6, linear_num_key_heads=2, linear_num_value_heads=4,
        linear_key_head_dim=16, linear_value_head_dim=8, linear_conv_kernel_dim=4, num_experts=4, num_experts_per_tok=2,
        moe_intermediate_size=16, shared_expert_intermediate_size=24, norm_topk_prob=True, tie_word_embeddings=True,
        layer_types=["linear_attention", "full_attention", "linear_attention"],
        rope_parameters={**DEFAULT_ROPE, "partial_rotary_factor": 0.25}), "smollm"),
}

# What GGUF has keys for and the converter leaves out, since released models have one value.
FACTS = {
    "llama4-tiny": {"llama4.attention.sliding_window": 40, "llama4.attention.temperature_length": 100,
                    "llama4.attention.temperature_scale": 0.4},
}
