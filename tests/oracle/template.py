"""Chat templates rendered by transformers itself: its sandboxed jinja2, with the clock stopped."""
import datetime

from transformers.utils import chat_template_utils

# strftime_now would otherwise put today's date into a fixture.
NOW = datetime.datetime(2026, 1, 31, 14, 5, 9)


def render(source, messages, **variables):
    template = chat_template_utils._compile_jinja_template(source)
    template.globals["strftime_now"] = NOW.strftime
    return template.render(messages=messages, **variables)
