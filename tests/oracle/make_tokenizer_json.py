"""golden/tokenizer_json/ and fuzz/seeds/tokenizer_json/: small tokenizer.json files, each for some components, and what `tokenizers` makes of texts with them.

texts.json holds the texts of all. <name>.json: "tokenizer" (the file); "ids", for each text; "plain", {index: ids} where
special tokens as plain text make a difference; "surrounded", the ids of the first text with what the post-processor adds;
"decoded", {index: text} where decoding, without special tokens, does not give back the text.
"""
import base64
import copy
import json
import random

from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

import awkward
import corpus
import fixture
import make_unigram

FOUND = ["<s>", "</s>", "<think>", "[MASK]", "word"]
LLAMA3_WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
GPT2 = dict(BYTE_LEVEL, use_regex=True)
SPACE = "\u2581"


def corpus_texts():
    return corpus.english() + corpus.OTHER_SCRIPTS + corpus.CODE


def added(tokenizer, *tokens):
    """Appends added tokens: (text, further fields)."""
    vocab = tokenizer["model"]["vocab"]
    known = vocab if isinstance(vocab, dict) else {piece: index for index, (piece, _) in enumerate(vocab)}
    next_id = len(known)
    for text, fields in tokens:
        token = {"id": known.get(text, next_id), "content": text, "single_word": False, "lstrip": False, "rstrip": False,
                 "normalized": False, "special": True, **fields}
        next_id += token["id"] == next_id
        tokenizer["added_tokens"].append(token)
    tokenizer["added_tokens"].sort(key=lambda token: token["id"])
    return tokenizer


def byte_level(pre_tokenizer, size=420, **model):
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.train_from_iterator(corpus_texts(), trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    made = json.loads(trained.to_str())
    made["pre_tokenizer"] = pre_tokenizer
    made["decoder"] = GPT2
    made["model"].update(model)
    return made


def split(pattern, behavior="Isolated", invert=False):
    kind = "Regex" if isinstance(pattern, tuple) else "String"
    return {"type": "Split", "pattern": {kind: pattern[0] if kind == "Regex" else pattern}, "behavior": behavior, "invert": invert}


def sequence(kind, *steps):
    return {"type": "Sequence", {"n": "normalizers", "p": "pretokenizers", "d": "decoders", "o": "processors"}[kind]: list(steps)}


def sentencepiece_like(size=420, **model):
    """Characters with byte fallback, as converted from SentencePiece."""
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(corpus.english(), trainers.BpeTrainer(
        vocab_size=size - 256, show_progress=False,
        special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]))
    made = json.loads(trained.to_str())
    made["added_tokens"] = made["added_tokens"][:3]
    made["normalizer"] = sequence("n", {"type": "Prepend", "prepend": SPACE},
                                  {"type": "Replace", "pattern": {"String": " "}, "content": SPACE})
    made["pre_tokenizer"] = None
    made["decoder"] = sequence("d", {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"},
                               {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0})
    made["model"].update({"byte_fallback": True, "fuse_unk": True, **model})
    return made


def word_level(pre_tokenizer, normalizer=None):
    trained = Tokenizer(models.WordLevel(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trained.train_from_iterator(corpus_texts() + [text.lower() for text in corpus_texts()] + list(awkward.FIXED), trainers.WordLevelTrainer(
        vocab_size=400, show_progress=False, special_tokens=["<unk>"]))
    made = json.loads(trained.to_str())
    made["pre_tokenizer"], made["normalizer"] = pre_tokenizer, normalizer
    return made


def word_pieces_by_bpe():
    """Prefixes of characters inside words, a suffix at their end, no bytes to fall back on."""
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trained.train_from_iterator(corpus.english(), trainers.BpeTrainer(
        vocab_size=300, show_progress=False, special_tokens=["<unk>"], continuing_subword_prefix="##", end_of_word_suffix="</w>"))
    made = json.loads(trained.to_str())
    made["decoder"] = {"type": "BPEDecoder", "suffix": "</w>"}
    return made


def merges_as_strings(made):
    made["model"]["merges"] = [" ".join(merge) for merge in made["model"]["merges"]]
    return made


def template(made):
    ids = {token["content"]: token["id"] for token in made["added_tokens"]}
    made["post_processor"] = sequence("o", GPT2, {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {text: {"id": text, "ids": [ids[text]], "tokens": [text]} for text in ("<s>", "</s>")}})
    return made


def with_post(made, kind):
    ids = {token["content"]: token["id"] for token in made["added_tokens"]}
    made["post_processor"] = {"type": kind, "sep": ["</s>", ids["</s>"]], "cls": ["<s>", ids["<s>"]]}
    if kind == "RobertaProcessing":
        made["post_processor"] |= {"trim_offsets": True, "add_prefix_space": True}
    return made


def word_pieces():
    trained = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trained.train_from_iterator([text.lower() for text in corpus_texts()], trainers.WordPieceTrainer(
        vocab_size=500, show_progress=False, special_tokens=["[UNK]", "<s>", "</s>"]))
    made = json.loads(trained.to_str())
    made["normalizer"] = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
    made["decoder"] = {"type": "WordPiece", "prefix": "##", "cleanup": True}
    return made


def unigram(**model):
    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(corpus_texts(), trainers.UnigramTrainer(
        vocab_size=500, show_progress=False, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>"))
    made = json.loads(trained.to_str())
    metaspace = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": True}
    made["pre_tokenizer"] = made["decoder"] = metaspace
    made["model"].update(model)
    return made


def compiled_rules():
    """Those of make_unigram.py, as SentencePiece compiles them."""
    model = make_unigram.model_with_rules().serialized_model_proto()
    blob = sentencepiece_model_pb2.ModelProto.FromString(model).normalizer_spec.precompiled_charsmap
    return base64.b64encode(blob).decode()


PLAIN = [("<s>", {}), ("</s>", {})]


def cases():
    yield "gpt2", template(added(byte_level(GPT2), *PLAIN, ("<think>", {"special": False})))
    yield "llama3", added(byte_level(sequence("p", split((LLAMA3_WORDS,)), BYTE_LEVEL), ignore_merges=True), *PLAIN)
    yield "qwen_nfc", added(dict(merges_as_strings(byte_level(sequence("p", split((LLAMA3_WORDS.replace("{1,3}", ""),)), BYTE_LEVEL))), normalizer={"type": "NFC"}), *PLAIN)
    yield "digits_punctuation", with_post(added(byte_level(sequence("p", {"type": "Digits", "individual_digits": True}, {"type": "Punctuation", "behavior": "Contiguous"}, GPT2)), *PLAIN), "RobertaProcessing")
    yield "prefix_space", with_post(added(byte_level(sequence("p", {"type": "Digits", "individual_digits": False}, dict(GPT2, add_prefix_space=True))), *PLAIN), "BertProcessing")
    behaviors = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
    for index, behavior in enumerate(behaviors):
        yield f"split_{behavior.lower()}", byte_level(sequence("p", split((r"[\s\-,.]",), behavior), split(" ", behaviors[(index + 1) % 5], True), BYTE_LEVEL), 300)
    yield "split_zero_width", byte_level(sequence("p", split((r"(?<=[a-z])(?=[A-Z])|\b|\h{2,3}+|[^\S\r\n]",)), BYTE_LEVEL), 300)
    yield "llama2", added(sentencepiece_like(), ("[MASK]", {"lstrip": True}), ("<think>", {"special": False, "rstrip": True}))
    yield "llama2_normalized_tokens", added(sentencepiece_like(), ("[MASK]", {"normalized": True}), ("word", {"special": False, "single_word": True, "normalized": True}))
    gemma = sentencepiece_like()
    gemma["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    gemma["pre_tokenizer"] = split(" ", "MergedWithPrevious")
    gemma["decoder"] = sequence("d", {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"})
    yield "gemma", gemma
    for scheme in ("always", "first", "never"):
        made = sentencepiece_like(byte_fallback=scheme == "first", fuse_unk=scheme == "always")
        metaspace = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": scheme != "first"}
        yield f"metaspace_{scheme}", added(dict(made, normalizer=None, pre_tokenizer=metaspace, decoder=metaspace), ("[MASK]", {}))
    yield "bpe_affixes", word_pieces_by_bpe()
    yield "words", added(word_level({"type": "Whitespace"}, sequence("n", {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"})), ("word", {"special": False, "single_word": True, "lstrip": True, "rstrip": True}))
    yield "words_nfd", word_level({"type": "WhitespaceSplit"}, sequence("n", {"type": "NFD"}, {"type": "Nmt"}, {"type": "Strip", "strip_left": True, "strip_right": True}))
    yield "words_nfkc", word_level({"type": "BertPreTokenizer"}, sequence("n", {"type": "NFKC"}, {"type": "Replace", "pattern": {"Regex": r"\s{2,}|[[:digit:]]+"}, "content": " "}))
    yield "bert", with_post(word_pieces(), "BertProcessing")
    yield "unigram", added(unigram(), ("[MASK]", {"lstrip": True}), ("<think>", {"special": False}))
    bytes_too = unigram(byte_fallback=True)
    bytes_too["model"]["vocab"] += [[f"<0x{byte:02X}>", 0.0] for byte in range(256)]
    bytes_too["decoder"] = sequence("d", {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"},
                                    {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0})
    yield "unigram_bytes", bytes_too
    rules = dict(unigram(), normalizer=sequence("n", {"type": "Precompiled", "precompiled_charsmap": compiled_rules()},
                                                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}))
    yield "unigram_rules", rules
    yield "delimiter", word_level({"type": "CharDelimiterSplit", "delimiter": " "})
    yield "fixed_length", byte_level(sequence("p", {"type": "FixedLength", "length": 3}, BYTE_LEVEL), 300)
    regexes = sentencepiece_like()
    regexes["decoder"] = sequence("d", {"type": "Replace", "pattern": {"Regex": f"{SPACE}+|[aeiou]$"}, "content": "_"},
                                  {"type": "Replace", "pattern": {"Regex": "(?<=t)h|n(?=d)|$(?<=_)"}, "content": "-+"}, {"type": "ByteFallback"}, {"type": "Fuse"})
    yield "decoder_regex", regexes


def texts():
    rng = random.Random(31)
    short = [text for text in awkward.texts(FOUND, 120, seed=31) if 0 < len(text.encode()) <= 48]
    around = [text for text in short if any(token in text for token in FOUND)]
    others = [text for text in short if text not in set(around)]
    rules = ["\ufb01n \uff41\uff42c \uff41 \u30ab\u3099\u30ab", "e\u0301e\u0301 \xdf\u2026", "a\tb\u3000c\u200bd", "\u337f"]
    return ["Hello world", *rules, *sorted(rng.sample(around, 40)), *sorted(rng.sample(others, 200))]


def without_special(tokenizer):
    changed = copy.deepcopy(tokenizer)
    vocab = changed["model"]["vocab"]
    for token in changed["added_tokens"]:  # keeps the ids of the others
        if isinstance(vocab, dict):
            vocab.setdefault(token["content"], token["id"])
        elif token["id"] == len(vocab):
            vocab.append([token["content"], -100.0])
        if isinstance(vocab, list) and token["special"]:  # no text becomes a control token
            vocab[token["id"]] = [f"\x01{token['id']}", vocab[token["id"]][1]]
    changed["added_tokens"] = [token for token in changed["added_tokens"] if not token["special"]]
    return Tokenizer.from_str(json.dumps(changed))


def case(tokenizer, lines):
    real, plain = Tokenizer.from_str(json.dumps(tokenizer)), without_special(tokenizer)
    ids = [real.encode(text, add_special_tokens=False).ids for text in lines]
    plain_ids = [plain.encode(text, add_special_tokens=False).ids for text in lines]
    special = {token["id"] for token in tokenizer["added_tokens"] if token["special"]}
    decoded = [real.decode([index for index in row if index not in special]) for row in ids]
    return {"tokenizer": tokenizer, "ids": ids,
            "plain": {index: row for index, row in enumerate(plain_ids) if row != ids[index]},
            "surrounded": real.encode(lines[0]).ids,
            "decoded": {index: text for index, text in enumerate(decoded) if text != lines[index]}}


def seed(tokenizer):
    """The same components around a model of a few tokens, for the fuzzer to start from."""
    small = copy.deepcopy(tokenizer)
    scores = isinstance(small["model"]["vocab"], list)
    small["model"]["vocab"] = {token: index for index, token in enumerate(["<unk>", "[UNK]", "a", "b", "ab", SPACE, "\u0120", "##b", "b</w>", "<0xC3>"])}
    if "merges" in small["model"]:
        small["model"]["merges"] = [["a", "b"]]
        small["model"].pop("continuing_subword_prefix", None)
    for token in small["added_tokens"]:
        token["id"] = small["model"]["vocab"].get(token["content"], -1)
    for index, token in enumerate(token for token in small["added_tokens"] if token["content"] not in small["model"]["vocab"]):
        token["id"] = len(small["model"]["vocab"]) + index
    if scores:
        small["model"]["vocab"] = [[token, -float(index)] for index, token in enumerate(small["model"]["vocab"])]
    post = json.dumps(small["post_processor"])
    for token in tokenizer["added_tokens"]:
        post = post.replace(f'{token["id"]}]', "0]")
    small["post_processor"] = json.loads(post)
    Tokenizer.from_str(json.dumps(small))  # it is one
    return json.dumps(small, separators=(",", ":"))


def main():
    out = fixture.folder("tokenizer_json")
    seeds = fixture.GOLDEN.parent / "fuzz" / "seeds" / "tokenizer_json"
    seeds.mkdir(parents=True, exist_ok=True)
    lines = texts()
    (out / "texts.json").write_text(json.dumps(lines) + "\n", encoding="ascii")
    for name, tokenizer in cases():
        (seeds / f"{name}.json").write_text(seed(tokenizer), encoding="ascii")
        (out / f"{name}.json").write_text(json.dumps(case(tokenizer, lines), separators=(",", ":")) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
