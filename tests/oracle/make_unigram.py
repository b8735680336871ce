"""golden/tokenizer/unigram*.{gguf,jsonl}: small Unigram vocabularies, trained and applied by `sentencepiece`.

unigram has normalization rules of its own, among them such that begin alike, and takes extra spaces away; unigram-bytes
keeps the text and has byte fallback. `python make_unigram.py FOLDER COUNT` makes FOLDER/tokenizer/unigram-nfkc.* with the
rules that released models have, and COUNT random strings. Lines are those of make_tokenizers.py.
"""
import io
import sys
import tempfile
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

import awkward
import corpus
import fixture
from make_sentencepiece import CONTROLS, SYMBOLS, encode, vocabulary_of, with_symbols
from make_tokenizers import write_metadata_gguf

# Without two marked spaces: whether these or one come first in three is a tie of rounded sums, which sentencepiece decides
# otherwise than tern now and then.
UNIGRAM_SYMBOLS = [symbol for symbol in SYMBOLS if symbol != "▁▁"]
RULES = {"ﬁ": "fi", "ß": "ss", "…": "...", "é": "e", "e\u0301": "e", "\t": " ", "\n": " ", "\u3000": " ", "\u200b": "",
         "ａ": "a", "ａｂ": "AB", "㍿": "株式会社", "カ\u3099": "ガ", "カ": "か"}


def train(byte_fallback, **options):
    model = io.BytesIO()
    texts = corpus.english() + corpus.OTHER_SCRIPTS * 2 + corpus.CODE * 2
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, model_type="unigram", vocab_size=1100 if byte_fallback else 800,
        byte_fallback=byte_fallback, control_symbols=CONTROLS[2:], user_defined_symbols=UNIGRAM_SYMBOLS,
        character_coverage=0.98, num_threads=1, minloglevel=2,
        hard_vocab_limit=False, **options)
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def model_with_rules():
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
        for source, target in RULES.items():
            file.write(" ".join(f"{ord(c):X}" for c in source) + "\t" + " ".join(f"{ord(c):X}" for c in target) + "\n")
        file.flush()
        return train(False, normalization_rule_tsv=file.name)


def write(name, model, count, limit):
    vocabulary = vocabulary_of(model)
    vocabulary.model = "t5"
    description = sentencepiece_model_pb2.ModelProto.FromString(model.serialized_model_proto()).normalizer_spec
    vocabulary.keys["remove_extra_whitespaces"] = description.remove_extra_whitespaces
    if description.precompiled_charsmap:
        vocabulary.keys["precompiled_charsmap"] = description.precompiled_charsmap
    write_metadata_gguf(name.with_suffix(".gguf"), vocabulary)
    texts = [text for text in awkward.texts(CONTROLS, count, seed=29) if limit is None or len(text.encode()) <= limit]
    texts += with_symbols(200 if limit else count, seed=30)
    texts += ["a foo b", "ｆoo é the カ\u3099", "ﬁn ａｂｃ ａ カ\u3099カ", "  two  spaces  ", "e\u0301e\u0301"]
    texts = [text for text in texts if "\0" not in text]  # where the trained rules end a text
    fixture.write_jsonl(name.with_suffix(".jsonl"),
                        ({"text": text, "ids": encode(model, text), "plain_ids": model.encode(text)} for text in texts))


def main(folder=None, count=100_000):
    if folder:
        write(Path(folder) / "tokenizer" / "unigram-nfkc", train(False, normalization_rule_name="nmt_nfkc"), int(count), None)
        return
    out = fixture.folder("tokenizer")
    write(out / "unigram", model_with_rules(), 150, 200)
    write(out / "unigram-bytes",
          train(True, normalization_rule_name="identity", remove_extra_whitespaces=False, allow_whitespace_only_pieces=True),
          150, 200)


if __name__ == "__main__":
    main(*sys.argv[1:])
