#!/usr/bin/env python3
"""Reads `tern serve`'s /metrics with Prometheus' own parser (PyPI: prometheus_client), and its log.

    metrics_client.py TERN MODEL

Prints 'N passed, N failed' and exits with 1 when a check failed.
"""
import contextlib
import json
import sys

from prometheus_client.parser import text_string_to_metric_families
from serving import Server, events, run

TERN, MODEL = sys.argv[1:3]
MARKER = "zebra-marker-4711"


def scrape(server):
    status, headers, text = server.ask("GET", "/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4"), (status, headers)
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(families, name, suffix="", **labels):
    for sample in families[name].samples:
        if sample.name == name + suffix and labels.items() <= sample.labels.items():
            return sample.value
    raise KeyError((name, suffix, labels))


def check_families():
    with contextlib.closing(Stopping("--metrics-prefix", "vllm")) as server:
        families = scrape(server)
        for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "cache_config_info"):
            assert families["vllm:" + name].type == "gauge", name
            assert families["vllm:" + name].samples[0].labels["model_name"] == server.model
            assert families["vllm:" + name].samples[0].labels["engine"] == "0"
        for name in ("prompt_tokens", "generation_tokens", "num_preemptions", "request_success", "prefix_cache_queries"):
            assert families["vllm:" + name].type == "counter", name
        for name in ("time_to_first_token_seconds", "inter_token_latency_seconds", "e2e_request_latency_seconds"):
            assert families["vllm:" + name].type == "histogram", name
        assert all(family.documentation for family in families.values())
        assert value(families, "vllm:weights_bytes") > 1e6 and value(families, "vllm:kv_bytes") > 1e6


def check_counts_and_log():
    with contextlib.closing(Stopping("--log-format", "json", "--log-level", "debug")) as server:
        before = scrape(server)
        status, _, text = server.complete(MARKER + " Once upon a time", max_tokens=10, stream=True, user="someone")
        assert status == 200
        answer = "".join(event["choices"][0]["text"] for event in events(text))
        assert server.complete(n=2, max_tokens=6)[0] == 200
        assert server.complete(temperature=MARKER)[0] == 400
        assert server.ask("POST", "/v1/chat/completions", {"messages": [{"role": MARKER, "content": MARKER}]})[0] == 400
        assert server.ask("GET", "/" + MARKER)[0] == 404
        after = scrape(server)

        def grown(name, suffix="", **labels):
            return value(after, "tern:" + name, suffix, **labels) - value(before, "tern:" + name, suffix, **labels)

        assert grown("generation_tokens", "_total") == 22
        assert grown("request_success", "_total", finished_reason="length") == 3
        assert grown("time_to_first_token_seconds", "_count") == 3
        assert grown("inter_token_latency_seconds", "_count") == 9 + 2 * 5
        assert grown("request_generation_tokens", "_sum") == 22
        assert grown("request_generation_tokens", "_bucket", le="10") == 3
        assert 0 < grown("e2e_request_latency_seconds", "_sum") < 60
        assert value(after, "tern:http_requests", "_total", route="/v1/completions", status="400") == 1
        assert value(after, "tern:kv_blocks_free") == value(after, "tern:kv_blocks")
    lines = [json.loads(line) for line in server.log]
    requests = [line for line in lines if line["event"] == "request" and line.get("user") == "someone"]
    assert len(requests) == 1 and requests[0]["answer_tokens"] == 10 and requests[0]["finish"] == "length", requests
    whole = "".join(server.log)
    assert MARKER not in whole
    words = [word for word in answer.split() if len(word) > 6]
    assert not any(word in whole for word in words), (words, whole)
    assert [line["event"] for line in lines][0] == "loading" and lines[-1]["event"] == "stopped"


class Stopping(Server):
    """Stopped with SIGTERM when it is closed; its exit code must be 0."""

    def __init__(self, *flags):
        super().__init__(TERN, MODEL, *flags)

    def close(self):
        code = self.stop()
        assert code == 0, code


if __name__ == "__main__":
    sys.exit(run([check_families, check_counts_and_log]))
