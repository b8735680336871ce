#!/usr/bin/env python3
"""Drives `tern serve` with PyPI's `openai` client: what its users do in their first hour.

    openai_client.py TERN MODEL [serve flags...]

Starts the server on a free port with an API key, runs every check, stops it with SIGTERM and expects exit code 0.
Prints 'N passed, N failed' and exits with 1 when a check failed. Needs: pip install openai.
"""
import asyncio
import json
import re
import signal
import subprocess
import sys
import traceback
import urllib.request

import openai

KEY = "e2e-key"
READY = re.compile(r"listening on (http://\S+)/v1 \(model (.+)\)")
MESSAGES = [{"role": "user", "content": "Name three colours."}]


def start(tern, model, flags):
    command = [tern, "serve", model, "--host", "127.0.0.1", "--port", "0", "--api-key", KEY, *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        found = READY.search(line)
        if found:
            return process, found.group(1), found.group(2)
    raise SystemExit(f"tern serve ended with {process.wait()} before it was ready")


def raises(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def counts(usage):
    """What two equal calls have in common: the second may find more of its prompt in the cache."""
    return usage.prompt_tokens, usage.completion_tokens, usage.total_tokens


class Checks:
    def __init__(self, url, model):
        self.url = url
        self.model = model
        self.client = openai.OpenAI(base_url=url + "/v1", api_key=KEY, max_retries=0, timeout=120)

    def chat(self, **more):
        arguments = dict(model=self.model, messages=MESSAGES, max_tokens=12, temperature=0) | more
        return self.client.chat.completions.create(**arguments)

    def text(self, **more):
        arguments = dict(model=self.model, prompt="Once upon a time", max_tokens=12, temperature=0) | more
        return self.client.completions.create(**arguments)

    def post(self, path, **body):
        """A route that the client has no method for."""
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"Authorization": "Bearer " + KEY})
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)

    def check_models(self):
        models = self.client.models.list()
        assert self.model in [model.id for model in models.data], models
        assert self.client.models.retrieve(self.model).max_model_len >= 512
        raises(openai.NotFoundError, lambda: self.client.models.retrieve("none/such"))

    def check_chat(self):
        answer = self.chat()
        assert answer.choices[0].message.role == "assistant" and answer.choices[0].message.content
        assert answer.choices[0].finish_reason in ("stop", "length")
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
        assert answer.usage.completion_tokens <= 12
        assert self.chat(max_tokens=None, max_completion_tokens=3, extra_body={"ignore_eos": True}).usage.completion_tokens == 3

    def check_chat_stream(self):
        whole, text, usage, finish = self.chat(), "", None, None
        for chunk in self.chat(stream=True, stream_options={"include_usage": True}):
            if chunk.choices:
                text += chunk.choices[0].delta.content or ""
                finish = chunk.choices[0].finish_reason or finish
            else:
                usage = chunk.usage
        assert text == whole.choices[0].message.content, (text, whole)
        assert finish == whole.choices[0].finish_reason
        assert counts(usage) == counts(whole.usage), (usage, whole.usage)

    def check_chat_parts_and_history(self):
        messages = [{"role": "system", "content": "Be brief."},
                    {"role": "user", "content": [{"type": "text", "text": "Hi."}, {"type": "text", "text": "Who are you?"}]},
                    {"role": "assistant", "content": "A model."}, {"role": "user", "content": "Thanks."}]
        assert self.chat(messages=messages).usage.prompt_tokens > 10

    def check_completion(self):
        answer = self.text()
        assert answer.object == "text_completion" and answer.choices[0].text
        again = self.text()
        assert again.choices[0].text == answer.choices[0].text

    def check_completion_stream(self):
        whole = self.text()
        streamed = "".join(chunk.choices[0].text for chunk in self.text(stream=True))
        assert streamed == whole.choices[0].text, (streamed, whole)

    def check_prompts_and_n(self):
        answer = self.text(prompt=["Once upon a time", "The sky is"], n=2, temperature=1, seed=3)
        assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
        assert self.chat(n=3, temperature=1, seed=3).choices[2].index == 2

    def check_streamed_choices(self):
        arguments = dict(n=3, temperature=1, seed=5, stop=["\n"], max_tokens=20)
        whole = {choice.index: (choice.message.content, choice.finish_reason) for choice in self.chat(**arguments).choices}
        texts, finishes = {}, {}
        for chunk in self.chat(stream=True, **arguments):
            for choice in chunk.choices:
                texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
                finishes[choice.index] = choice.finish_reason or finishes.get(choice.index)
        assert whole == {index: (text, finishes[index]) for index, text in texts.items()}, (whole, texts, finishes)

    def check_usage(self):
        used = [chunk.usage for chunk in self.text(stream=True, stream_options={"include_usage": True,
                                                                                "continuous_usage_stats": True})]
        assert all(usage is not None for usage in used)
        totals = [usage.total_tokens for usage in used]
        assert totals == sorted(totals) and used[-1].completion_tokens == 12, totals
        first, second = (self.text(prompt="Far far away, behind the word mountains, " * 8).usage for _ in range(2))
        for usage in (first, second):
            assert 0 <= usage.prompt_tokens_details.cached_tokens < usage.prompt_tokens
            assert usage.completion_tokens_details.reasoning_tokens == 0
        assert second.prompt_tokens_details.cached_tokens >= first.prompt_tokens_details.cached_tokens

    def check_bias_and_penalties(self):
        token = self.post("/tokenize", prompt=" sky")["tokens"]
        assert len(token) == 1
        biased = self.text(logit_bias={token[0]: 100}, max_tokens=4)
        assert biased.choices[0].text == " sky" * 4, biased
        penalized = self.text(logit_bias={token[0]: 30}, frequency_penalty=2, presence_penalty=2, max_tokens=40)
        assert penalized.choices[0].text.count(" sky") < 40, penalized
        ended = self.text(logit_bias={token[0]: 100}, extra_body={"stop_token_ids": token})
        assert (ended.choices[0].text, ended.choices[0].finish_reason) == ("", "stop"), ended

    def check_extensions(self):
        plain = self.text().choices[0].text
        extras = dict(priority=-5, cache_salt="mine\0", timeout=60, min_p=0, top_k=0, repetition_penalty=1, nonsense=1)
        assert self.text(user="me", extra_body=extras | {"metadata": {"a": "b"}}).choices[0].text == plain

    def check_tokenize(self):
        text = "Once upon a time, \u00e9\u00e8 \U0001f600"
        tokens = self.post("/tokenize", prompt=text, return_token_strs=True)
        assert tokens["count"] == len(tokens["tokens"]) == len(tokens["token_strs"]) == self.text(prompt=text).usage.prompt_tokens
        assert self.post("/detokenize", tokens=tokens["tokens"])["prompt"] == text
        assert self.post("/tokenize", messages=MESSAGES)["count"] == self.chat().usage.prompt_tokens
        assert self.text(prompt=tokens["tokens"]).choices[0].text == self.text(prompt=text).choices[0].text

    def check_no_text_becomes_a_control_token(self):
        def control(content):
            tokens = self.post("/tokenize", messages=[{"role": "user", "content": content}])["tokens"]
            return sorted(token for token in tokens if token < 17)  # SmolLM2's control tokens

        for token in range(17):
            text = self.post("/detokenize", tokens=[token])["prompt"]
            assert text and control(text) == control("word") and control(f"a{text}\n{text}") == control("word"), text

    def check_many_at_once(self):
        async def ask(client, number):
            stream = await client.completions.create(model=self.model, prompt=f"{number} and", max_tokens=8,
                                                     temperature=0, stream=True)
            return "".join([chunk.choices[0].text async for chunk in stream])

        async def ask_all():
            async with openai.AsyncOpenAI(base_url=self.url + "/v1", api_key=KEY, max_retries=0, timeout=120) as client:
                return await asyncio.gather(*(ask(client, number) for number in range(8)))

        answers = asyncio.run(ask_all())
        for number in (0, 7):
            assert answers[number] == self.text(prompt=f"{number} and", max_tokens=8).choices[0].text

    def check_seed(self):
        one, two = (self.chat(temperature=1, seed=11).choices[0].message.content for _ in range(2))
        assert one == two, (one, two)

    def check_stop(self):
        whole = self.text(max_tokens=30).choices[0].text
        stop = whole[len(whole) // 2:][:4]
        answer = self.text(max_tokens=30, stop=[stop])
        assert answer.choices[0].text == whole[:whole.index(stop)], (answer, whole, stop)
        assert answer.choices[0].finish_reason == "stop"

    def check_chat_logprobs(self):
        answer = self.chat(logprobs=True, top_logprobs=3)
        content = answer.choices[0].logprobs.content
        assert content and all(len(token.top_logprobs) == 3 for token in content)
        assert all(token.logprob <= 0 and token.logprob == token.top_logprobs[0].logprob for token in content)
        text = b"".join(bytes(token.bytes) for token in content).decode("utf-8", "replace")
        assert text == answer.choices[0].message.content, (text, answer)

    def check_completion_logprobs(self):
        logprobs = self.text(logprobs=2).choices[0].logprobs
        assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.text_offset) == len(logprobs.top_logprobs)
        assert logprobs.text_offset[0] == 0 and all(1 <= len(top) <= 2 for top in logprobs.top_logprobs)

    def check_leaving_a_stream(self):
        with self.chat(stream=True, max_tokens=200) as stream:
            next(iter(stream))
        assert self.chat().choices[0].message.content

    def check_errors(self):
        assert raises(openai.NotFoundError, lambda: self.chat(model="no-such-model")).code == "model_not_found"
        assert raises(openai.BadRequestError, lambda: self.chat(temperature=-1)).param == "temperature"
        assert raises(openai.BadRequestError, lambda: self.chat(messages=[])).param == "messages"
        assert raises(openai.BadRequestError, lambda: self.chat(n=17)).param == "n"
        assert raises(openai.BadRequestError, lambda: self.text(echo=True)).param == "echo"
        too_long = raises(openai.BadRequestError, lambda: self.text(prompt="word " * 200_000))
        assert too_long.code == "context_length_exceeded", too_long
        wrong = openai.OpenAI(base_url=self.url + "/v1", api_key="wrong", max_retries=0)
        assert raises(openai.AuthenticationError, wrong.models.list).code == "invalid_api_key"
        raises(openai.NotFoundError, lambda: self.client.get("/nowhere", cast_to=object))
        error = raises(openai.BadRequestError, lambda: self.chat(extra_body={"timeout": 0}))
        assert error.type == "invalid_request_error" and error.param == "timeout" and "timeout" in error.message

    def check_request_id(self):
        raw = self.client.chat.completions.with_raw_response.create(
            model=self.model, messages=MESSAGES, max_tokens=1, extra_headers={"X-Request-Id": "e2e-1"})
        assert raw.headers["x-request-id"] == "e2e-1"


def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    process, url, model = start(sys.argv[1], sys.argv[2], sys.argv[3:])
    passed = failed = 0
    try:
        checks = Checks(url, model)
        for name in [name for name in dir(checks) if name.startswith("check_")]:
            try:
                getattr(checks, name)()
                passed += 1
            except Exception:  # one check's failure is a line of the report, whatever it is
                failed += 1
                print(f"FAILED {name}", file=sys.stderr)
                traceback.print_exc()
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
    if code == 0:
        passed += 1
    else:
        failed += 1
        print(f"FAILED exit code {code} after SIGTERM", file=sys.stderr)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
