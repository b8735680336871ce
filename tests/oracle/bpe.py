"""Byte-level BPE as the Hugging Face `tokenizers` library does it, from the parts that a GGUF file holds.

`Vocabulary` is what a GGUF file knows. `encoders` turns it into the two tokenizers the fixtures need: one that finds
control tokens in the text, and one that takes them as plain text (user-defined tokens are found by both).
"""
import json
from dataclasses import dataclass, field

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

NORMAL, CONTROL, USER_DEFINED, BYTE = 1, 3, 4, 6  # values of tokenizer.ggml.token_type

# The split pattern of each family, as its tokenizer.json has it. ByteLevel itself knows the one of GPT-2.
LLAMA3_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
                r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2_SPLIT = LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")


@dataclass
class Vocabulary:
    pre: str                                     # tokenizer.ggml.pre
    tokens: list                                 # in the byte-level alphabet, except control and user-defined ones
    types: list
    merges: list                                 # "left right"
    keys: dict = field(default_factory=dict)     # further tokenizer.ggml.* numbers: bos_token_id, add_bos_token, ...
    chat_template: str = ""
    scores: list = field(default_factory=list)   # SentencePiece: one a token, and no merges
    model: str = ""                              # tokenizer.ggml.model where the above do not tell it


def pre_tokenizer(pre):
    def split_then_bytes(pattern):
        return pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])

    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return {
        "gpt-2": lambda: gpt2,
        "smollm": lambda: pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2]),
        "llama-bpe": lambda: split_then_bytes(LLAMA3_SPLIT),
        "qwen2": lambda: split_then_bytes(QWEN2_SPLIT),
    }[pre]()


def encoder(vocabulary, found_types):
    """A tokenizer that finds the tokens of `found_types` before it splits the rest."""
    ids = {token: index for index, token in enumerate(vocabulary.tokens)}
    merges = [tuple(merge.split(" ")) for merge in vocabulary.merges]
    result = Tokenizer(models.BPE(vocab=ids, merges=merges, ignore_merges=vocabulary.pre == "llama-bpe"))
    result.pre_tokenizer = pre_tokenizer(vocabulary.pre)
    result.decoder = decoders.ByteLevel()
    found = [token for token, kind in zip(vocabulary.tokens, vocabulary.types) if kind in found_types]
    result.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in found])
    for token in found:
        assert result.token_to_id(token) == ids[token]
    return result


def encoders(vocabulary):
    """(special tokens recognised, text as plain data)"""
    return encoder(vocabulary, {CONTROL, USER_DEFINED}), encoder(vocabulary, {USER_DEFINED})


def encode(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


def train(pre, size, texts, extra=(), whole=()):
    """A vocabulary of `size` tokens: bytes, merges, `whole` words that no merge reaches, then `extra` (token, type)."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizer(pre)
    plain = size - len(extra) - len(whole)
    learner.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=plain, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    ids = learner.get_vocab()
    tokens = sorted(ids, key=ids.get)
    assert len(tokens) == plain, f"{pre}: only {len(tokens)} tokens could be learned"
    merges = [" ".join(pair) for pair in learned_merges(learner)]
    whole = [byte_level(word) for word in whole]
    assert not set(whole) & set(tokens)
    return Vocabulary(pre, tokens + whole + [token for token, _ in extra],
                      [NORMAL] * (plain + len(whole)) + [kind for _, kind in extra], merges)


def learned_merges(tokenizer):
    return json.loads(tokenizer.to_str())["model"]["merges"]


def byte_level(word):
    """The word in the byte-level alphabet ("Ġthe" for " the")."""
    pieces = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(word)
    return "".join(piece for piece, _ in pieces)


def add_to_gguf(writer, vocabulary):
    """Writes the tokenizer's keys as llama.cpp's converter names them."""
    writer.add_tokenizer_model(vocabulary.model or ("llama" if vocabulary.scores else "gpt2"))
    writer.add_tokenizer_pre(vocabulary.pre)
    if vocabulary.scores:
        writer.add_token_scores(vocabulary.scores)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.merges:
        writer.add_token_merges(vocabulary.merges)
    for key, value in vocabulary.keys.items():
        if isinstance(value, bytes):
            writer.add_array(f"tokenizer.ggml.{key}", value)
            continue
        add = writer.add_bool if isinstance(value, bool) else writer.add_uint32
        add(f"tokenizer.ggml.{key}", value)
    if vocabulary.chat_template:
        writer.add_chat_template(vocabulary.chat_template)
