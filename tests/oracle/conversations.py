"""Chats and tools that the template fixtures render."""

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a city, \"now\" or later",
    "parameters": {"type": "object", "required": ["city"], "properties": {
        "city": {"type": "string", "description": "e.g. Zürich"},
        "days": {"type": "integer", "minimum": 0, "default": 1},
        "units": {"type": "string", "enum": ["°C", "°F"]}}}}}
CLOCK = {"type": "function", "function": {
    "name": "clock", "description": "The time", "parameters": {"type": "object", "properties": {}}}}
TOOLS = [WEATHER, CLOCK]

CALL = {"id": "call_001", "type": "function",
        "function": {"name": "get_weather", "arguments": {"city": "Zürich", "days": 2, "exact": True, "note": None, "bias": -0.5}}}
CALL_AS_TEXT = {"id": "abcdefghi", "type": "function",
                "function": {"name": "clock", "arguments": "{\"zone\": \"UTC\"}"}}

CHATS = {
    "user": [{"role": "user", "content": "Hello!"}],
    "system": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who are you?"}],
    "turns": [{"role": "user", "content": "One"}, {"role": "assistant", "content": "Two"},
              {"role": "user", "content": "Three"}, {"role": "assistant", "content": "Four"}, {"role": "user", "content": "Five"}],
    "spaces": [{"role": "system", "content": "  \n padded \t"}, {"role": "user", "content": "\n\n line\r\nnext  "},
               {"role": "assistant", "content": ""}, {"role": "user", "content": " "}],
    "unicode": [{"role": "user", "content": "Größe 寸法 👩‍💻 \"quoted\" 'single' <b>&amp;</b> \\n {{ x }} {% y %}"},
                {"role": "assistant", "content": "Ça va\u2028\u00a0İ ß ǆ"}, {"role": "user", "content": "مرحبا"}],
    "tools": [{"role": "system", "content": "Use tools."}, {"role": "user", "content": "Weather?"},
              {"role": "assistant", "content": None, "tool_calls": [CALL]},
              {"role": "tool", "tool_call_id": "call_001", "name": "get_weather", "content": "{\"temp\": 21.5}"},
              {"role": "assistant", "content": "It is 21.5 °C."}, {"role": "user", "content": "And the time?"}],
    "two_calls": [{"role": "user", "content": "Both, please"},
                  {"role": "assistant", "content": "Sure.", "tool_calls": [CALL, CALL_AS_TEXT]},
                  {"role": "tool", "tool_call_id": "call_001", "content": "rain"},
                  {"role": "tool", "tool_call_id": "abcdefghi", "content": {"time": "14:05", "list": [1, 2.0, None, False]}}],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "Look: "}, {"type": "image"}, {"type": "text", "text": "nice?"}]},
              {"role": "assistant", "content": [{"type": "text", "text": "Yes."}]}],
    "thinking": [{"role": "user", "content": "2+2?"},
                 {"role": "assistant", "content": "<think>\nadd them\n</think>\n\n4", "reasoning_content": "add them"},
                 {"role": "user", "content": "3+3?"}],
    "assistant_first": [{"role": "assistant", "content": "I start."}, {"role": "user", "content": "No."}],
    "empty": [],
}
