"""golden/smollm2/: what transformers computes from the real, dequantized weights in float32.

logprobs.json + logprobs_ids.u32 + logprobs.f32 + rest.f32: the 256 best next tokens at 64 positions of real text.
greedy.json: 20 chats and the 48 tokens that follow, with the gap between the two best logits at each step.
reference.py computes one text again in float64; the script fails if the two disagree.
"""
import numpy as np
import torch
from gguf.quants import dequantize
from transformers import LlamaConfig, LlamaForCausalLM

import bpe
import corpus
import fixture
import make_models
import reference
import smollm2
import template

TOP = 256
POSITIONS_PER_TEXT = 16
STEPS = 48

QUESTIONS = [
    "What is the capital of France?",
    "Write one sentence about the sea.",
    "Explain in two sentences why the sky is blue.",
    "List three fruits that are red.",
    "Translate to Spanish: Good morning, my friend.",
    "What is 12 plus 30?",
    "Give me a short recipe for pancakes.",
    "Who wrote Romeo and Juliet?",
    "Write a Python function that returns the larger of two numbers.",
    "What does a bee make?",
    "Name the planets of the solar system in order.",
    "Describe a cat to someone who has never seen one.",
    "How do I boil an egg?",
    "What is the opposite of 'cold'?",
    "Write a haiku about rain.",
    "Why do leaves fall in autumn?",
]
CHATS = [[{"role": "user", "content": question}] for question in QUESTIONS] + [
    [{"role": "system", "content": "You answer in one word."}, {"role": "user", "content": "Which animal barks?"}],
    [{"role": "system", "content": "You are a pirate."}, {"role": "user", "content": "Tell me about your ship."}],
    [{"role": "user", "content": "My name is Ada."}, {"role": "assistant", "content": "Nice to meet you, Ada!"},
     {"role": "user", "content": "What is my name?"}],
    [{"role": "user", "content": "Count to five."}, {"role": "assistant", "content": "1, 2, 3, 4, 5"},
     {"role": "user", "content": "Now count from five to ten."}],
]


def split_halves(weight, heads):
    """Undoes make_models.pair_neighbours."""
    pairs = weight.reshape(heads, weight.shape[0] // heads // 2, 2, -1)
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(weight.shape)


def load_model():
    get = lambda key: smollm2.field(f"llama.{key}")
    config = LlamaConfig(
        vocab_size=get("vocab_size"), hidden_size=get("embedding_length"), num_hidden_layers=get("block_count"),
        intermediate_size=get("feed_forward_length"), num_attention_heads=get("attention.head_count"),
        num_key_value_heads=get("attention.head_count_kv"), max_position_embeddings=get("context_length"),
        rms_norm_eps=float(get("attention.layer_norm_rms_epsilon")), tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": get("rope.freq_base")},
        bos_token_id=1, eos_token_id=2, pad_token_id=2, attn_implementation="eager")
    model = LlamaForCausalLM(config).float().eval()
    tensors = {t.name: t for t in smollm2.reader().tensors}
    for name, weight in model.named_parameters():
        tensor = tensors.pop(make_models.gguf_name(name))
        data = dequantize(tensor.data, tensor.tensor_type)
        if "q_proj" in name:
            data = split_halves(data, config.num_attention_heads)
        if "k_proj" in name:
            data = split_halves(data, config.num_key_value_heads)
        weight.data.copy_(torch.from_numpy(np.array(data)))
    assert not tensors, f"unused: {sorted(tensors)}"
    return model


def log_softmax(logits):
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def make_logprobs(model, tokenizer, out):
    texts, top_ids, top_values, rest = [], [], [], []
    for index, text in enumerate(corpus.english()):
        ids = bpe.encode(tokenizer, text)
        logits = make_models.logits_of(model, ids)
        if index == 0:
            error = np.abs(logits - reference.logits(smollm2.gguf_path(), ids)).max()
            print(f"smollm2: float32-float64 {error:.1e}, logits sd {logits.std():.2f}")
            assert error < 2e-3
        values = log_softmax(logits)
        nll = -values[np.arange(len(ids) - 1), ids[1:]].mean()
        positions = np.linspace(0, len(ids) - 1, POSITIONS_PER_TEXT).round().astype(int).tolist()
        texts.append({"text": text, "ids": ids, "positions": positions, "mean_nll": round(float(nll), 6)})
        for row in values[positions]:
            order = np.argsort(-row, kind="stable")
            top_ids.append(order[:TOP])
            top_values.append(row[order[:TOP]])
            rest.append(np.log(np.exp(row[order[TOP:]]).sum()))
    fixture.write_json(out / "logprobs.json", {"top": TOP, "texts": texts})
    fixture.write_array(out / "logprobs_ids.u32", np.array(top_ids), "<u4")
    fixture.write_array(out / "logprobs.f32", np.array(top_values), "<f4")
    fixture.write_array(out / "rest.f32", np.array(rest), "<f4")


@torch.no_grad()
def generate(model, ids):
    output = model(torch.tensor([ids]), use_cache=True)
    result = []
    for _ in range(STEPS):
        result.append(int(output.logits[0, -1].argmax()))
        output = model(torch.tensor([result[-1:]]), past_key_values=output.past_key_values, use_cache=True)
    return result


def make_greedy(model, tokenizer, out):
    chats = []
    for messages in CHATS:
        prompt = template.render(smollm2.vocabulary().chat_template, messages, add_generation_prompt=True)
        ids = bpe.encode(tokenizer, prompt)
        greedy = generate(model, ids)
        # One pass over prompt and continuation gives every step's logits, without a cache.
        logits = make_models.logits_of(model, ids + greedy[:-1])[len(ids) - 1:]
        assert logits.argmax(-1).tolist() == greedy
        best = np.sort(np.partition(logits, -2)[:, -2:], -1)
        chats.append({"messages": messages, "prompt": prompt, "ids": ids, "greedy": greedy,
                      "text": tokenizer.decode(greedy, skip_special_tokens=False),
                      "gaps": [round(float(g), 5) for g in best[:, 1] - best[:, 0]]})
        print(f"smollm2: least gap {min(chats[-1]['gaps'])}: {chats[-1]['text'][:60]!r}")
    fixture.write_json(out / "greedy.json", {"steps": STEPS, "chats": chats})


def main():
    out = fixture.folder("smollm2")
    model = load_model()
    tokenizer, _ = bpe.encoders(smollm2.vocabulary())
    make_logprobs(model, tokenizer, out)
    make_greedy(model, tokenizer, out)


if __name__ == "__main__":
    main()
