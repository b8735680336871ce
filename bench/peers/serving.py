#!/usr/bin/env python3
"""Compare tern serve with llama.cpp's llama-server: same file, same threads, same load, in turn.

    python3 bench/peers/serving.py MODEL.gguf [--quick] [--servers tern,llama-server]

`tern bench serve` makes the load, the same words at the same times for both. The loads:
  closed     16 users without pause, prompts of 64-512 tokens, answers of 64-256
  poisson    the same requests arriving at 0.7 of the rate that llama-server reached in `closed`
  intrusion  15 streams run, a prompt of 4,000 tokens arrives: the gaps in the streams until its first token
  prefix     8 users whose prompts begin with the same 1,000 tokens, after 8 such requests; and first tokens,
             one user, of prompts that begin like one before (hit) and like none (miss)
Each load runs on a fresh server, tern and the peer alternating, with other words in every turn. The peer
runs as its makers ship it (continuous batching, prompt cache, flash attention as it chooses) with 16 slots
and -b 512, for a quarter of the gap that a long prompt makes (--peer-flags="-b 2048": its default).

Each run's result is kept in --dir and is not made again while program, file and load are the same, so what was
interrupted goes on. On a busy machine the figures mean nothing: the script says so and exits with 2.
"""

import argparse
import datetime
import hashlib
import json
import os
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import compare
import builds
import serving_report

USERS = 16
CONTEXT = 4416  # of one user: the long prompt, its answer and the streams'
LONG = 4000
TICKS = os.sysconf("SC_CLK_TCK")

# Turns, and requests of each turn.
FULL = {"closed": (3, 100), "poisson": (2, 40), "intrusion": (2, 16), "prefix": (2, 40)}
QUICK = {"closed": (1, 40), "poisson": (1, 18), "intrusion": (1, 16), "prefix": (1, 24)}
MIXED = ["--input-lengths", "uniform:64:512", "--output-lengths", "uniform:64:256"]


def server_commands(args, peer):
    model, threads = str(args.model), str(args.threads)
    return {
        "tern": [str(args.tern), "serve", model, "-t", threads, "--max-num-seqs", str(USERS),
                 "-c", str(CONTEXT)],
        "llama-server": [peer["binaries"]["llama-server"], "-m", model, "-t", threads, "-tb", threads,
                         "-np", str(USERS), "-c", str(USERS * CONTEXT), "-b", "512", "--offline", "--no-ui",
                         *shlex.split(args.peer_flags)],
    }


class Server:
    """A server of its own for one run."""

    def __init__(self, command, log):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = open(log, "w")
        self.process = subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(self.port)],
                                        stdout=self.log, stderr=subprocess.STDOUT)

    def __enter__(self):
        deadline = time.monotonic() + 120
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5).close()
                return self
            except OSError:
                time.sleep(0.1)
        self.__exit__()
        raise SystemExit(f"error: the server did not start; see {self.log.name}")

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak_bytes(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return 0


def run_load(args, server, options):
    """One `tern bench serve` against a running server; its JSON, with what it cost."""
    command = [*shlex.split(args.under), str(args.tern), "bench", "serve", "--port", str(server.port),
               "--ignore-eos", "--temperature", "0", "--json", "--save-detailed", *options]
    samples = []  # of time, CPU seconds of the machine and of the server
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(command, stdout=out, stderr=err)
        while process.poll() is None:
            samples.append((time.monotonic(), compare.cpu_seconds(), server.cpu_seconds()))
            time.sleep(0.1)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise SystemExit(f"error: {shlex.join(command)}\n{err.read().decode().strip()}")
        result = json.load(out)
    for key in ("generated_texts", "input_lens", "output_lens", "cached_lens"):
        result.pop(key, None)
    if result["failed"]:
        raise SystemExit(f"error: {result['failed']} requests failed: {result['failures']}")
    # The run proper is the end of it: waiting for --under and warming up come before.
    inside = [s for s in samples if s[0] >= samples[-1][0] - result["duration"]]
    wall, machine, served = (last - first for first, last in zip(inside[0], inside[-1]))
    result["others_cores"] = max(0.0, machine - served - result["client_cpu_seconds"]) / max(wall, 0.1)
    result["peak_bytes"] = server.peak_bytes()
    return result


class Runs:
    """Makes the runs that are not there yet."""

    def __init__(self, args, peer):
        self.args, self.commands = args, server_commands(args, peer)
        self.sizes = QUICK if args.quick else FULL
        args.dir.mkdir(parents=True, exist_ok=True)

    def fingerprint(self, server, loads):
        binary = Path(self.commands[server][0])
        versions = [p.stat().st_mtime_ns for p in (binary, Path(self.args.model))]
        return hashlib.sha256(json.dumps([self.commands[server], loads, versions]).encode()).hexdigest()

    def one(self, load, turn, server, loads):
        """`loads`: {name: options of tern bench serve}, one after the other on one server."""
        path = self.args.dir / f"{load}-{turn + 1}-{server}.json"
        mark = self.fingerprint(server, loads)
        if path.exists() and (kept := json.loads(path.read_text()))["fingerprint"] == mark:
            return kept
        print(f"{load} {turn + 1}/{self.sizes[load][0]} {server}", file=sys.stderr)
        made = {"fingerprint": mark, "date": datetime.date.today().isoformat(), "results": {}}
        with Server(self.commands[server], path.with_suffix(".log")) as running:
            for name, options in loads.items():
                made["results"][name] = run_load(self.args, running, options)
        scratch = path.with_suffix(".tmp")
        scratch.write_text(json.dumps(made))
        scratch.rename(path)
        return made

    def all_of(self, load, make_loads):
        """{server: [results of a turn]}; the servers take turns."""
        out = {server: [] for server in self.args.servers}
        turns, requests = self.sizes[load]
        for turn in range(turns):
            for server in self.args.servers:
                out[server].append(self.one(load, turn, server, make_loads(turn, requests))["results"])
        return out


def closed_loads(turn, requests):
    return {"load": ["--num-prompts", str(requests), "--max-concurrency", str(USERS), *MIXED,
                     "--seed", str(100 + turn)]}


def poisson_loads(rate):
    return lambda turn, requests: {"load": ["--num-prompts", str(requests), "--request-rate", f"{rate:.4f}",
                                            *MIXED, "--seed", str(200 + turn)]}


def intrusion_loads(args, tokens, at):
    """The streams are long enough to outlive the long prompt's first token on the faster server."""
    lines = [{"in": 64, "out": tokens, "at": 0}] * (USERS - 1) + [{"in": LONG, "out": 8, "at": at}]
    path = args.dir / f"intrusion-{tokens}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return lambda turn, requests: {"load": ["--input-lengths", f"file:{path}", "--seed", str(300 + turn)]}


def prefix_loads(turn, requests):
    alike = ["--random-prefix-len", "1000"]
    alone = [*alike, "--max-concurrency", "1", "--num-prompts", "6", "--input-lengths", "64", "--output-lengths", "16"]
    return {
        "miss": [*alone, "--random-num-prefixes", "6", "--seed", str(400 + turn)],
        "hit": [*alone, "--num-warmups", "1", "--seed", str(500 + turn)],
        "load": [*alike, "--max-concurrency", "8", "--num-warmups", "8", "--num-prompts", str(requests),
                 "--input-lengths", "uniform:32:128", "--output-lengths", "uniform:32:96", "--seed", str(600 + turn)],
    }


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a GGUF file")
    parser.add_argument("--quick", action="store_true", help="one turn, fewer requests: about 5 minutes")
    parser.add_argument("--servers", default="tern,llama-server", help="default: %(default)s")
    parser.add_argument("--loads", default="closed,poisson,intrusion,prefix", help="default: %(default)s")
    parser.add_argument("-t", "--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: %(default)s")
    parser.add_argument("--rate", type=float, help="requests a second of `poisson`, where the peer is not measured")
    parser.add_argument("--tern", type=Path, default=compare.ROOT / "build/release/tern")
    parser.add_argument("--peer-dir", type=Path, default=builds.default_dir())
    parser.add_argument("--peer-flags", default="", help="more flags for llama-server, such as -kvu")
    parser.add_argument("--dir", type=Path, help="for the results (default: build/bench-serve[-quick])")
    parser.add_argument("--under", default="", metavar="COMMAND",
                        help="run the load generator under this command, such as one that waits for a quiet machine")
    args = parser.parse_args()
    args.servers, args.loads = args.servers.split(","), args.loads.split(",")
    args.dir = args.dir or compare.ROOT / "build" / ("bench-serve-quick" if args.quick else "bench-serve")
    if not args.tern.exists():
        raise SystemExit(f"error: no {args.tern}; build it, or give --tern")
    return args


def main():
    args = parse_arguments()
    peer = builds.finished(args.peer_dir)
    if not peer:
        raise SystemExit(f"error: no build in {args.peer_dir}; run bench/peers/builds.py llama.cpp")
    runs, results = Runs(args, peer), {}
    if args.loads != ["prefix"]:  # the others build upon it
        results["closed"] = runs.all_of("closed", closed_loads)
    if "poisson" in args.loads:
        rate = args.rate
        if not rate and "llama-server" in args.servers:
            rate = 0.7 * statistics.median(t["load"]["request_throughput"] for t in results["closed"]["llama-server"])
        if not rate:
            raise SystemExit("error: `poisson` takes its rate from llama-server: add it to --servers, or give --rate")
        results["poisson"] = runs.all_of("poisson", poisson_loads(rate))
    if "intrusion" in args.loads:
        at = 6.0
        peak = max(turn["load"]["max_output_tokens_per_s"] for turns in results["closed"].values() for turn in turns) / USERS
        # 4 s: for the long prompt on a server so fast. In steps, so that small differences keep what was measured.
        tokens = min(CONTEXT - 100, max(256, 128 * round(1.5 * peak * (at + 4) / 128)))
        results["intrusion"] = runs.all_of("intrusion", intrusion_loads(args, tokens, at))
    if "prefix" in args.loads:
        results["prefix"] = runs.all_of("prefix", prefix_loads)
    busy = serving_report.print_report(args, results, runs.commands, peer)
    return 2 if busy else 0


if __name__ == "__main__":
    sys.exit(main())
