"""golden/tokenizer/sentencepiece.{gguf,jsonl}: a small SentencePiece BPE with byte fallback, trained and applied by `sentencepiece`.

Lines are those of make_tokenizers.py. SentencePiece knows no control tokens inside a text: for "ids" the text is cut at
them here, and each part encoded alone, with the space before it that this vocabulary asks for.
"""
import io
import random
import re

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

import awkward
import bpe
import corpus
import fixture
from make_tokenizers import write_metadata_gguf

CONTROLS = ["<s>", "</s>", "<|user|>"]
SYMBOLS = ["<mask>", "<ab>", "foo", "fo", "▁▁", "é", "the"]  # user-defined: whole wherever they are, in the text normalized at once


def train():
    model = io.BytesIO()
    texts = corpus.english() + corpus.OTHER_SCRIPTS * 2 + corpus.CODE * 2
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, model_type="bpe", vocab_size=900, byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, control_symbols=CONTROLS[2:], user_defined_symbols=SYMBOLS,
        character_coverage=0.98, split_digits=True, allow_whitespace_only_pieces=True, num_threads=1, minloglevel=2)
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def vocabulary_of(model):
    pieces = sentencepiece_model_pb2.ModelProto.FromString(model.serialized_model_proto()).pieces

    def kind(index):
        if pieces[index].type == pieces[index].USER_DEFINED:
            return bpe.USER_DEFINED
        if model.is_unknown(index):
            return 2
        if model.is_control(index):
            return bpe.CONTROL
        return bpe.BYTE if model.is_byte(index) else bpe.NORMAL

    ids = range(model.get_piece_size())
    keys = {"bos_token_id": model.bos_id(), "eos_token_id": model.eos_id(), "unknown_token_id": model.unk_id(),
            "add_bos_token": True, "add_space_prefix": True}
    return bpe.Vocabulary("default", [model.id_to_piece(i) for i in ids], [kind(i) for i in ids], [], keys,
                          scores=[model.get_score(i) for i in ids])


def encode(model, text):
    parts = re.split("(" + "|".join(map(re.escape, CONTROLS + ["<unk>"])) + ")", text)
    return [index for part in parts if part
            for index in ([model.piece_to_id(part)] if part in CONTROLS + ["<unk>"] else model.encode(part))]


def with_symbols(count, seed):
    """Random strings of symbols, whole and cut, spaces and letters."""
    rng = random.Random(seed)
    parts = SYMBOLS + [symbol[:-1] for symbol in SYMBOLS] + [" ", " ", " ", "  ", "▁", "a", "o", "f", "x", "é", "<s>", "1", "."]
    return list(dict.fromkeys("".join(rng.choice(parts) for _ in range(rng.randint(1, 12))) for _ in range(count)))


def main():
    out = fixture.folder("tokenizer")
    model = train()
    write_metadata_gguf(out / "sentencepiece.gguf", vocabulary_of(model))
    texts = [text for text in awkward.texts(CONTROLS, 150, seed=21) if len(text.encode()) <= 200]
    texts = ["a foo b"] + texts + with_symbols(200, seed=22)
    texts = [text for text in texts if "\0" not in text]  # where the trained rules end a text
    fixture.write_jsonl(out / "sentencepiece.jsonl",
                        ({"text": text, "ids": encode(model, text), "plain_ids": model.encode(text)} for text in texts))


if __name__ == "__main__":
    main()
