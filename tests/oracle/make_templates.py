"""golden/templates/cases.jsonl: chat templates and the text that jinja2 makes of them, as transformers sets it up.

A line is {"name", "template", "messages", "add_generation_prompt", "bos_token", "eos_token", "kwargs"} and either
"expected" or "error": true. kwargs always holds tools and documents, null where there are none: transformers defines
both. strftime_now formats template.NOW, 2026-01-31 14:05:09.
"""
import jinja2

import conversations
import fixture
import own_templates
import smollm2
import template

BOS, EOS = "<s>", "</s>"


REFUSALS = (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, AttributeError, LookupError,
            RecursionError)


def case(name, source, messages, add_generation_prompt, kwargs, bos_token=BOS, eos_token=EOS):
    row = {"name": name, "template": source, "messages": messages, "add_generation_prompt": add_generation_prompt,
           "bos_token": bos_token, "eos_token": eos_token, "kwargs": {"tools": None, "documents": None, **kwargs}}
    try:
        row["expected"] = template.render(source, messages, add_generation_prompt=add_generation_prompt,
                                          bos_token=bos_token, eos_token=eos_token, **row["kwargs"])
    except REFUSALS:
        row["error"] = True
    return row


def cases():
    chat_templates = {"smollm2": smollm2.vocabulary().chat_template, **own_templates.CHAT}
    for name, source in chat_templates.items():
        for chat, messages in conversations.CHATS.items():
            yield case(f"{name}/{chat}", source, messages, True, {})
            if chat in ("turns", "unicode", "thinking"):
                yield case(f"{name}/{chat}/no_prompt", source, messages, False, {})
            if chat in ("tools", "two_calls", "user"):
                yield case(f"{name}/{chat}/with_tools", source, messages, chat == "user", {"tools": conversations.TOOLS})
    for chat in ("thinking", "user"):
        for enabled in (True, False):
            yield case(f"thinking/{chat}/{enabled}", own_templates.CHAT["thinking"], conversations.CHATS[chat], True,
                       {"enable_thinking": enabled})
    yield case("headers_and_date/given", own_templates.CHAT["headers_and_date"], conversations.CHATS["user"], True,
               {"date_string": "26 Jul 2024"})
    for index, source in enumerate(own_templates.features()):
        yield case(f"feature/{index}", source, conversations.CHATS["turns"], False, {})


def main():
    rows = list(cases())
    print(f"templates: {len(rows)} cases, {sum('error' in row for row in rows)} of them errors")
    fixture.write_jsonl(fixture.folder("templates") / "cases.jsonl", rows)


if __name__ == "__main__":
    main()
