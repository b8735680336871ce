#!/usr/bin/env python3
"""Drives `tern bench serve` against `tern serve`: the real client of the load generator's numbers.

    bench_serve_client.py TERN MODEL [serve flags...]

Prints 'N passed, N failed' and exits with 1 when a check failed. Needs nothing but Python.
"""
import json
import re
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

KEY = "e2e-key"
READY = re.compile(r"listening on (http://\S+)/v1 \(model (.+)\)")


def start(tern, model, flags):
    command = [tern, "serve", model, "--host", "127.0.0.1", "--port", "0", "--api-key", KEY, *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        found = READY.search(line)
        if found:
            return process, found.group(1)
    raise SystemExit(f"tern serve ended with {process.wait()} before it was ready")


class Checks:
    def __init__(self, tern, url):
        self.tern, self.url = tern, url

    def load(self, *options, key=KEY, code=0):
        command = [self.tern, "bench", "serve", "--base-url", self.url, "--ignore-eos", "--temperature", "0", *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={"TERN_API_KEY": key})
        assert done.returncode == code, (done.returncode, done.stderr)
        return done

    def numbers(self, *options):
        return json.loads(self.load("--json", "--save-detailed", *options).stdout)

    def check_every_token_is_counted(self):
        run = self.numbers("--num-prompts", "8", "--max-concurrency", "4", "--input-lengths", "uniform:16:64",
                           "--output-lengths", "uniform:4:16")
        assert run["completed"] == 8 and run["failed"] == 0, run
        assert all(16 <= n <= 64 for n in run["input_lens"]), run["input_lens"]
        assert all(4 <= n <= 16 for n in run["output_lens"]), run["output_lens"]
        assert run["total_output_tokens"] == sum(run["output_lens"])
        assert run["max_concurrent_requests"] == 4
        assert all(0 < first <= whole for first, whole in zip(run["ttfts"], run["latencies"]))

    def check_chat_prompts_have_the_wanted_length(self):
        run = self.numbers("--endpoint", "/v1/chat/completions", "--num-prompts", "3", "--input-len", "100",
                           "--output-len", "4")
        assert all(abs(n - 100) <= 2 for n in run["input_lens"]), run["input_lens"]

    def check_a_seed_repeats_the_words(self):
        texts = [self.numbers("--num-prompts", "2", "--input-len", "20", "--output-len", "6", "--seed", seed)
                 ["generated_texts"] for seed in ("1", "1", "2")]
        assert texts[0] == texts[1] and texts[0] != texts[2], texts

    def check_turns_repeat_the_history(self):
        run = self.numbers("--num-prompts", "3", "--conversations", "1", "--input-len", "20", "--output-len", "5")
        lengths = run["input_lens"]
        assert lengths[0] == 20 and 40 <= lengths[1] <= 50 < lengths[2], lengths

    def check_the_lines_are_vllms(self):
        text = self.load("--num-prompts", "2", "--input-len", "8", "--output-len", "2", "--goodput", "ttft:60000",
                         "--request-rate", "20", "--percentile-metrics", "ttft,e2el").stdout
        for line in ("Successful requests: +2 *$", "Request rate configured \\(RPS\\): +20.00 *$",
                     "Request goodput \\(req/s\\): +[0-9.]+ *$", "P99 TTFT \\(ms\\): +[0-9.]+ *$", "Mean E2EL"):
            assert re.search("^" + line, text, re.M), (line, text)
        assert "TPOT" not in text

    def check_a_result_is_saved(self):
        with tempfile.TemporaryDirectory() as folder:
            self.load("--num-prompts", "1", "--input-len", "8", "--output-len", "2", "--save-result", "--result-dir",
                      folder + "/new", "--result-filename", "x.json")
            assert json.loads(Path(folder, "new", "x.json").read_text())["completed"] == 1

    def check_refusals_are_told(self):
        assert "HTTP 401" in self.load("--num-prompts", "1", key="wrong", code=1).stderr
        assert "HTTP 404" in self.load("--num-prompts", "1", "--model", "nobody", code=1).stderr


def main():
    process, url = start(sys.argv[1], sys.argv[2], sys.argv[3:])
    passed = failed = 0
    try:
        checks = Checks(sys.argv[1], url)
        for name in [name for name in dir(checks) if name.startswith("check_")]:
            try:
                getattr(checks, name)()
                passed += 1
            except Exception:
                print(f"--- {name}")
                traceback.print_exc(file=sys.stdout)
                failed += 1
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
    if code != 0:
        print(f"--- the server ended with {code}")
        failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
