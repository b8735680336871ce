"""golden/tokenizer/: awkward strings and their token ids, by Hugging Face `tokenizers`.

smollm2.jsonl belongs to the vocabulary of the real SmolLM2 GGUF. gpt-2, llama-bpe and qwen2 are small vocabularies
trained here; <name>.gguf holds their metadata and no tensor. A line is {"text", "ids", "plain_ids"}: control tokens in
the text recognised, or taken as data; user-defined tokens are recognised in both. No BOS or EOS is added. Where NFC,
which Hugging Face applies for Qwen 2 and llama.cpp does not, changes the result, "nfc_ids" is that of "ids".
"""
import unicodedata

import gguf

import awkward
import bpe
import corpus
import fixture
import smollm2

CONTROL, USER = bpe.CONTROL, bpe.USER_DEFINED

# pre: (size, words in the vocabulary that no merge reaches, extra tokens, further tokenizer.ggml keys by token)
FAMILIES = {
    "gpt-2": (700, [], [("<|endoftext|>", CONTROL)],
              {"bos_token_id": "<|endoftext|>", "eos_token_id": "<|endoftext|>", "add_bos_token": False}),
    "llama-bpe": (900, [" unreachable", "wooden", "日本", " Привет", "!!!\n", "777", "\r\n\r\n"],
                  [("<|begin_of_text|>", CONTROL), ("<|end_of_text|>", CONTROL), ("<|start_header_id|>", CONTROL),
                   ("<|end_header_id|>", CONTROL), ("<|eom_id|>", CONTROL), ("<|eot_id|>", CONTROL),
                   ("<|python_tag|>", CONTROL)],
                  {"bos_token_id": "<|begin_of_text|>", "eos_token_id": "<|eot_id|>", "eot_token_id": "<|eot_id|>",
                   "add_bos_token": True}),
    "qwen2": (800, [],
              [("<|endoftext|>", CONTROL), ("<|im_start|>", CONTROL), ("<|im_end|>", CONTROL),
               ("<tool_call>", USER), ("</tool_call>", USER), ("<think>", USER)],
              {"bos_token_id": "<|endoftext|>", "eos_token_id": "<|im_end|>", "padding_token_id": "<|endoftext|>",
               "add_bos_token": False}),
}

# Strings for the words that only ignore_merges finds whole.
WHOLE_WORDS = ["unreachable", " unreachable", "an unreachable wooden shelf", "wooden", " wooden", "woodens", "日本", "日本語",
               "in 日本 ", "Привет", " Привет", "wow!!!\n", "!!!\n", "!!!\n\n", "777", "7777", "1777", "a777b", "\r\n\r\n", "x\r\n\r\ny"]


def rows(vocabulary, texts):
    with_special, plain = bpe.encoders(vocabulary)
    for text in texts:
        row = {"text": text, "ids": bpe.encode(with_special, text), "plain_ids": bpe.encode(plain, text)}
        if vocabulary.pre == "qwen2":
            nfc = bpe.encode(with_special, unicodedata.normalize("NFC", text))
            if nfc != row["ids"]:
                row["nfc_ids"] = nfc
        yield row


def found_tokens(vocabulary):
    return [token for token, kind in zip(vocabulary.tokens, vocabulary.types) if kind != bpe.NORMAL]


def write_metadata_gguf(path, vocabulary, arch="llama"):
    writer = gguf.GGUFWriter(path, arch)
    writer.add_type("model")
    writer.add_vocab_size(len(vocabulary.tokens))
    bpe.add_to_gguf(writer, vocabulary)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def small_vocabulary(pre):
    size, whole, extra, keys = FAMILIES[pre]
    texts = corpus.english() + corpus.OTHER_SCRIPTS * 2 + corpus.CODE * 2
    vocabulary = bpe.train(pre, size, texts, extra, whole)
    vocabulary.keys = {key: vocabulary.tokens.index(value) if isinstance(value, str) else value
                       for key, value in keys.items()}
    return vocabulary


def main():
    out = fixture.folder("tokenizer")
    vocabulary = smollm2.vocabulary()
    fixture.write_jsonl(out / "smollm2.jsonl", rows(vocabulary, awkward.texts(found_tokens(vocabulary)[:6], 250, seed=3)))
    for index, (pre, arch) in enumerate([("gpt-2", "gpt2"), ("llama-bpe", "llama"), ("qwen2", "qwen2")]):
        vocabulary = small_vocabulary(pre)
        write_metadata_gguf(out / f"{pre}.gguf", vocabulary, arch)
        texts = awkward.texts(found_tokens(vocabulary), 150, seed=10 + index)
        # The small vocabularies spell most scripts byte by byte: the longest lines would only repeat that.
        texts = WHOLE_WORDS + [text for text in texts if len(text.encode()) <= 200]
        fixture.write_jsonl(out / f"{pre}.jsonl", rows(vocabulary, dict.fromkeys(texts)))


if __name__ == "__main__":
    main()
