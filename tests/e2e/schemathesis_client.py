#!/usr/bin/env python3
"""Lets PyPI's `schemathesis` send what /openapi.json allows and what it forbids, and checks every answer.

    schemathesis_client.py TERN [MODEL] [--examples N] [--seed N]

The server gets the smallest model of tests/golden, whatever MODEL is: the API is the same, and the cases are many. All of
schemathesis' checks run. One of them is replaced by a stricter rule: a request that the document allows is accepted, or
refused with a code that stands for what no schema can say (fields that need each other, tokens, the context's length).
Prints 'N passed, N failed' and exits with 1 when a check failed. Needs: pip install schemathesis.
"""
import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

KEY = "e2e-key"
HERE = pathlib.Path(__file__).resolve()
MODEL = HERE.parent.parent / "golden" / "models" / "llama-tiny" / "model.gguf"
READY = re.compile(r"listening on (http://\S+)/v1 ")
BEYOND_SCHEMA = {"conflicting_fields", "too_many_choices", "empty_prompt", "context_length_exceeded",
                 "token_out_of_vocabulary", "template_refused"}


def error_code(response):
    try:
        return json.loads(response.content)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return None


def add_checks():
    import schemathesis
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    @schemathesis.check
    def allowed_data_accepted(ctx, response, case):
        if response.status_code == 400 and error_code(response) in BEYOND_SCHEMA:
            return None
        return positive_data_acceptance(ctx, response, case)

    @schemathesis.check
    def errors_have_their_shape(ctx, response, case):
        if response.status_code < 400 or not response.content:
            return
        error = json.loads(response.content)["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
        assert error["message"] and error["type"] and error["code"], error
        leak = re.search(r"0x[0-9a-f]{6}|tern::|std::|\.cpp|\.gguf", error["message"])
        assert not leak and str(MODEL.parent) not in error["message"], error


def start(tern):
    command = [tern, "serve", str(MODEL), "--served-model-name", "tiny", "--host", "127.0.0.1", "--port", "0",
               "--api-key", KEY]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        found = READY.search(line)
        if found:
            return process, found.group(1)
    raise SystemExit(f"tern serve ended with {process.wait()} before it was ready")


def run(url, options, folder):
    command = [sys.executable, "-m", "schemathesis.cli", "run", url + "/openapi.json",
               "-H", f"Authorization: Bearer {KEY}", "--checks", "all", "--exclude-checks", "positive_data_acceptance",
               "--max-examples", str(options.examples), "--seed", str(options.seed), "--request-timeout", "60",
               "--continue-on-failure", "--no-color", "--workers", "2", "--report", "json",
               "--report-json-path", str(folder / "report.json")]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": str(HERE)}
    return subprocess.run(command, env=environment, cwd=folder, stdin=subprocess.DEVNULL).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tern", type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("model", nargs="?")
    parser.add_argument("--examples", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    process, url = start(options.tern)
    with tempfile.TemporaryDirectory() as folder:
        try:
            code = run(url, options, pathlib.Path(folder))
        finally:
            ended = process.poll()
            process.send_signal(signal.SIGTERM)
            server_code = process.wait(60)
        report = json.loads((pathlib.Path(folder) / "report.json").read_text())
    cases = report["test_cases"]
    failures = cases["with_failures"] + cases["errored"]
    for what, bad in {"schemathesis failed": code != 0 and failures == 0, "the run was broken off": not report["complete"],
                      f"the server ended by itself with {ended}": ended is not None, f"exit code {server_code} of the server": server_code != 0,
                      "no request was accepted by " + ", ".join(never_accepted(report)): never_accepted(report)}.items():
        if bad:
            failures += 1
            print("FAILED:", what, file=sys.stderr)
    print(f"{cases['generated'] - cases['with_failures']} passed, {failures} failed")
    return 1 if failures else 0


def never_accepted(report):
    """Routes that turned everything away: there the checks would have seen refusals only."""
    return [route for route, phases in report["valid_rates"].items()
            if sum(phase["accepted"] for phase in phases.values()) == 0]


if __name__ == "__main__":
    sys.exit(main())
else:
    add_checks()
