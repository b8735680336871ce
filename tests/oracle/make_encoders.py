"""golden/encoders/<name>/: a tiny random encoder as a Hugging Face folder and as GGUF, with the vectors that it must give.

`texts.json` holds token ids, `vectors.f32` [texts, hidden] the mean of the last layer's vectors of each, scaled to
length 1, as transformers computes them in float32. The GGUF is written by llama.cpp's converter (convert.py).
"""
import numpy as np
import torch
from transformers import BertConfig, BertModel

import convert
import fixture
import make_models

LENGTHS = (1, 2, 17, 100, 300)


@torch.no_grad()
def vector(model, ids):
    mean = model(torch.tensor([ids])).last_hidden_state[0].mean(0).numpy()
    return mean / np.sqrt((mean * mean).sum())


def make(name, seed):
    config = BertConfig(vocab_size=make_models.VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=3,
                        num_attention_heads=4, max_position_embeddings=320, type_vocab_size=2, hidden_act="gelu",
                        layer_norm_eps=1e-12, attn_implementation="eager")
    model = BertModel(config, add_pooling_layer=False).float().eval()
    make_models.randomize(model, torch.Generator().manual_seed(seed))
    with torch.no_grad():  # texts must differ more than what all of them share
        model.embeddings.word_embeddings.weight *= 4
        for parameter_name, parameter in model.named_parameters():
            if parameter_name.endswith("bias"):
                parameter *= 0.3
    folder = fixture.folder("encoders", name, "hf")
    make_models.save_hf(model, config, False, make_models.tokenizer("smollm"), folder)
    convert.convert(folder, folder.parent / "model.gguf", name, "smollm")
    texts = [np.random.default_rng([seed, length]).integers(0, make_models.VOCAB, length).tolist() for length in LENGTHS]
    vectors = np.stack([vector(model, ids) for ids in texts])
    fixture.write_json(folder.parent / "texts.json", texts)
    fixture.write_array(folder.parent / "vectors.f32", vectors, "<f4")
    print(f"{name}: cosines between texts {np.round(vectors @ vectors.T, 2).tolist()}")


def main():
    torch.set_num_threads(1)
    make("bert-tiny", 7)


if __name__ == "__main__":
    main()
