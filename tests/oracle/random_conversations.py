"""Random conversations for real templates: turns, tools, calls and results, thinking, parts, documents, arguments."""
import json
import random

import conversations

WORDS = ["Hello", "world", "Zürich", "寸法", "👩‍💻", "<b>&</b>", "\"quoted\"", "it's", "\\n", "{{ x }}", "{% y %}", "\t", "3.14",
         "line\nnext", "</think>", "<think>", "<|im_end|>", "[INST]", "  ", "\u2028", "مرحبا", "`code`", "a=b", "None", "#"]
DOCUMENTS = [{"title": "One", "text": "First text"}, {"title": "Zwei", "text": "Zweiter \"Text\"", "doc_id": 7}]
# Arguments that templates ask about, and what to give them.
ARGUMENTS = {
    "enable_thinking": [True, False], "thinking": [True, False], "date_string": ["26 Jul 2024"],
    "tools_in_user_message": [True, False], "reasoning_effort": ["low", "medium", "high", "none"],
    "thinking_budget": [0, 512, -1], "add_vision_id": [True, False], "preserve_thinking": [True, False],
    "clear_thinking": [True, False], "builtin_tools": [["python"], ["browser", "python"]],
    "model_identity": ["You are a fixture."], "xml_tools": [["<tool/>"]], "python_tools": [["def f(): pass"]],
    "controls": [{"length": "short"}], "citation_mode": ["fast"], "today": ["2024-07-26"], "keep_past_thinking": [True],
    "functions": ['[{"name": "clock"}]'], "datetime": ["2024-07-26"], "available_tools": [conversations.TOOLS], "force_reasoning": [True], "add_default_system_message": [False],
}


def words(rng, most=8):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randrange(1, most))).strip(" ") or "x"


def value(rng, depth=0):
    kind = rng.randrange(7 if depth < 2 else 5)
    if kind == 0:
        return words(rng, 4)
    if kind == 1:
        return rng.choice([0, 7, -3, 2**40])
    if kind == 2:
        return rng.choice([0.5, -2.25, 1e-7, 100.0])
    if kind == 3:
        return rng.choice([True, False])
    if kind == 4:
        return None
    if kind == 5:
        return [value(rng, depth + 1) for _ in range(rng.randrange(3))]
    return {f"k{i}": value(rng, depth + 1) for i in range(rng.randrange(3))}


def tool(rng):
    properties = {name: {"type": rng.choice(["string", "integer", "boolean", ["string", "null"]]), "description": words(rng, 4)}
                  for name in rng.sample(["city", "days", "exact", "note"], rng.randrange(4))}
    if rng.random() < 0.4:
        properties["deep"] = {"type": "object", "description": words(rng, 4), "properties": {"unit": {"type": "string", "enum": ["°C", "°F"]}}, "required": ["unit"]}
    if rng.random() < 0.4:
        properties["list"] = {"type": "array", "description": words(rng, 4), "items": {"type": "number"}, "default": [1, 2.5]}
    if rng.random() < 0.2:
        properties["either"] = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    function = {"name": rng.choice(["get_weather", "clock", "search"]), "description": words(rng),
                "parameters": {"type": "object", "properties": properties}}
    if properties and rng.random() < 0.7:
        function["parameters"]["required"] = sorted(properties)[:2]
    if rng.random() < 0.2:
        function["return"] = {"type": "string", "description": "what comes back"}
    if rng.random() < 0.2:
        function["strict"] = True
    return {"type": "function", "function": function}


def call(rng, index, as_text):
    arguments = {rng.choice(["city", "days", "note", "deep"]): value(rng) for _ in range(rng.randrange(4))}
    return {"id": rng.choice([f"call_{index}", f"functions.clock:{index}", f"abcdefg{index % 10}{index % 7}"]), "type": "function",
            "function": {"name": rng.choice(["get_weather", "clock", "search"]),
                         "arguments": json.dumps(arguments) if as_text else arguments}}


def content(rng, parts):
    if not parts:
        return words(rng)
    made = [{"type": "text", "text": words(rng)}]
    if rng.random() < 0.3:
        made.insert(rng.randrange(2), rng.choice([{"type": "image"}, {"type": "image_url", "image_url": {"url": "x.png"}},
                                                  {"type": "image", "image": "x.png"}, {"type": "video"}, {"type": "audio"}]))
    return made


def answer(rng, messages, style):
    message = {"role": "assistant", "content": content(rng, style["parts"])}
    if rng.random() < style["thinking"]:
        if rng.random() < 0.6:
            message[style["thinking_key"]] = words(rng)
        elif isinstance(message["content"], str):
            message["content"] = f"<think>\n{words(rng)}\n</think>\n\n{message['content']}"
    messages.append(message)
    if rng.random() >= style["calls"]:
        return
    calls = [call(rng, len(messages) + i, style["as_text"]) for i in range(rng.choice([1, 1, 2]))]
    message["tool_calls"] = calls
    if rng.random() < 0.5:
        message["content"] = rng.choice([None, ""])
    for made in calls:
        result = {"role": "tool", "tool_call_id": made["id"], "content": content(rng, style["parts"])}
        if rng.random() < 0.6:
            result["name"] = made["function"]["name"]
        if rng.random() < 0.2:
            result["content"] = json.dumps(value(rng))
        messages.append(result)
    if rng.random() < 0.8:
        messages.append({"role": "assistant", "content": content(rng, style["parts"])})


def conversation(rng, allowed):
    """(messages, kwargs, add_generation_prompt); `allowed`: names of arguments that the template's source has."""
    style = {"parts": rng.random() < 0.2, "calls": rng.choice([0, 0, 0.5]), "thinking": rng.choice([0, 0, 0.6]),
             "thinking_key": rng.choice(["reasoning_content", "reasoning_content", "reasoning", "thinking"]), "as_text": rng.random() < 0.2}
    messages = []
    if rng.random() < 0.5:
        messages.append({"role": rng.choice(["system", "system", "developer"]), "content": content(rng, style["parts"])})
    for _ in range(rng.randrange(1, 4)):
        messages.append({"role": "user", "content": content(rng, style["parts"])})
        answer(rng, messages, style)
    if rng.random() < 0.6:
        messages.append({"role": "user", "content": content(rng, style["parts"])})
    if rng.random() < 0.05:
        messages[rng.randrange(len(messages))]["role"] = rng.choice(["user", "assistant", "ipython", "critic"])
    kwargs = {}
    if style["calls"] or rng.random() < 0.2:
        kwargs["tools"] = [tool(rng) for _ in range(rng.randrange(1, 3))]
    if "documents" in allowed and rng.random() < 0.3:
        kwargs["documents"] = DOCUMENTS
    for name, values in ARGUMENTS.items():
        if name in allowed and rng.random() < (0.9 if name in ("functions", "datetime") else 0.4):
            kwargs[name] = rng.choice(values)
    return messages, kwargs, rng.random() < 0.6


def some(name, source, count):
    """`count` conversations, the same ones for the same name."""
    rng = random.Random(name)
    allowed = {word for word in [*ARGUMENTS, "documents"] if word in source}
    return [conversation(rng, allowed) for _ in range(count)]
