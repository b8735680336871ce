#!/usr/bin/env python3
"""Compare tern with llama.cpp: same file, same tests, same threads, in turn.

    python3 bench/peers/compare.py MODEL.gguf [-p 512] [-n 128] [-t 1,2]
    python3 bench/peers/compare.py MODEL.gguf --kl [--text FILE]

Speed: `tern bench` and `llama-bench` run alternately (tern, peer, tern, peer,
...), so that a change in the machine's state falls on both. The result is a
markdown table of tokens per second: median (min-max) of the repeats. What
other processes used of the CPU meanwhile is measured too: on a busy machine the
figures mean nothing (llama.cpp's threads spin while they wait, and so suffer
most), and the script says so and exits with 2.

--kl: the mean KL divergence of the peer's output on the file from that of its
own f32 model (the file dequantized to f32, with an f32 KV cache). The f32
model measured against itself gives the floor, since the stored reference is
rounded to 16 bits. Scored are the positions of the second half of each chunk.
The reference file (--keep DIR leaves it there, as base.kld) holds the tokens,
for measuring another program on the same ones; little-endian:
    char[8] "_logits_", u32 n_ctx, i32 n_vocab, i32 n_chunk,
    i32 tokens[n_chunk * n_ctx], then the log-probabilities.
"""

import argparse
import datetime
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import builds

ROOT = Path(__file__).resolve().parents[2]
BUSY = 0.1  # cores used by others, above which a comparison is not valid


def machine():
    text = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.*)$", text, re.M)
    cores = len(os.sched_getaffinity(0))
    return f"{model.group(1) if model else 'unknown CPU'}, {cores} cores"


def cpu_seconds():
    """CPU time used since boot by everything on the processors that this process may use (`taskset` narrows them),
    steal included."""
    return busy_ticks(Path("/proc/stat").read_text(), os.sched_getaffinity(0)) / os.sysconf("SC_CLK_TCK")


def busy_ticks(stat, processors):
    """Of these processors, from the text of /proc/stat."""
    ticks = 0
    for number, times in re.findall(r"^cpu(\d+) (.*)$", stat, re.M):
        if int(number) in processors:
            user, nice, system, _, _, irq, softirq, steal = map(int, times.split()[:8])
            ticks += user + nice + system + irq + softirq + steal
    return ticks


def own_seconds():
    return sum(os.times()[:4])


def run_bench(command):
    """Run one benchmark; return {(test, threads): (result, tokens per second)}."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"error: {shlex.join(command)}\n{done.stderr.strip()}")
    results = {}
    for entry in json.loads(done.stdout):
        prompt, gen, depth = entry["n_prompt"], entry["n_gen"], entry.get("n_depth", 0)
        test = "+".join(f"{name}{n}" for name, n in (("pp", prompt), ("tg", gen)) if n)
        if depth:
            test += f" @ d{depth}"
        results[test, entry["n_threads"]] = (entry, statistics.median(entry["samples_ts"]))
    return results


def spread(values):
    low, mid, high = min(values), statistics.median(values), max(values)
    digits = 1 if mid >= 10 else 2
    return f"{mid:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def speed(args, peer):
    tests = ["-p", args.prompt, "-n", args.gen, "-t", args.threads, "-r", "1", "-o", "json"]
    if args.depth != "0":
        tests += ["-d", args.depth]
    commands = {
        "tern": [str(args.tern), "bench", args.model, *tests],
        "llama.cpp": [peer["binaries"]["llama-bench"], "-m", args.model, *tests],
    }
    if not args.tern.exists():
        raise SystemExit(f"error: no {args.tern}; build it, or give --tern")
    samples = {name: {} for name in commands}
    others = []  # cores that other processes kept busy, for every run
    for turn in range(args.repeats):
        seen = {}
        for name, command in commands.items():
            start, busy = time.monotonic(), cpu_seconds() - own_seconds()
            seen[name] = run_bench(command)
            others.append((cpu_seconds() - own_seconds() - busy) / (time.monotonic() - start))
            print(f"{turn + 1}/{args.repeats} {name}: others used {others[-1]:.2f} cores",
                  file=sys.stderr)
            for key, (_, rate) in seen[name].items():
                samples[name].setdefault(key, []).append(rate)
        tern, other = seen.values()
        if tern.keys() != other.keys():
            raise SystemExit(f"error: not the same tests: {sorted(tern)} and {sorted(other)}")
    caches = {name: sorted({f"{entry['type_k']}/{entry['type_v']}" for entry, _ in results.values()})
              for name, results in seen.items()}

    print("| test | threads | tern t/s | llama.cpp t/s | tern / llama.cpp |")
    print("|---|--:|--:|--:|--:|")
    for key, mine in samples["tern"].items():
        theirs = samples["llama.cpp"][key]
        ratio = statistics.median(mine) / statistics.median(theirs)
        print(f"| {key[0]} | {key[1]} | {spread(mine)} | {spread(theirs)} | {ratio:.2f} |")
    print()
    print(f"Median (min–max) of {args.repeats} interleaved runs. KV cache (K/V): "
          + ", ".join(f"{name} {' '.join(types)}" for name, types in caches.items())
          + f". Other processes used at most {max(0, *others):.2f} cores.")
    busy = max(others) > BUSY
    if busy:
        print(f"\n**The machine was busy (over {BUSY} cores): do not use these figures.**\n")
    return busy, [shlex.join([Path(command[0]).name, *command[1:]]) for command in commands.values()]


def mean_kl(perplexity, model, base, options):
    done = subprocess.run(
        [perplexity, "-m", model, "--kl-divergence-base", base, "--kl-divergence", *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found = re.search(r"Mean\s+KLD:\s*(\S+)\s*±\s*(\S+)", done.stdout)
    if done.returncode or not found:
        raise SystemExit(f"error: {perplexity}\n{done.stdout[-2000:]}")
    same = re.search(r"Same top p:\s*(\S+)", done.stdout)
    return f"{found[1]} ± {found[2]}", f"{same[1]} %" if same else ""


def peer_kl(programs, model, text, chunks, threads, folder):
    """{"the file", "f32 (floor)": (KL, same top token)} of llama.cpp, and the options used; base.kld stays in folder."""
    f32, base = str(folder / "f32.gguf"), str(folder / "base.kld")
    common = ["-c", "512", "-b", "512", "--chunks", str(chunks), "-t", str(threads)]
    exact = [*common, "-ctk", "f32", "-ctv", "f32", "-fa", "off"]
    for command in (
        [programs["llama-quantize"], "--allow-requantize", model, f32, "F32"],
        [programs["llama-perplexity"], "-m", f32, "-f", str(text), "--kl-divergence-base", base, *exact],
    ):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise SystemExit(f"error: {shlex.join(command)}\n{done.stdout[-2000:]}")
    return {
        "the file": mean_kl(programs["llama-perplexity"], model, base, common),
        "f32 (floor)": mean_kl(programs["llama-perplexity"], f32, base, exact),
    }, common


def kl_text(peer_dir):
    return builds.LLAMA_CPP.source(peer_dir) / "tools/completion/README.md"


def kl(args, peer):
    text = args.text or kl_text(args.peer_dir)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(args.keep or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        rows, common = peer_kl(peer["binaries"], args.model, text, args.chunks, args.threads.split(",")[-1], folder)
    print("| llama.cpp | mean KL from its f32 (nats) | same top token |")
    print("|---|--:|--:|")
    for name, (value, same) in rows.items():
        print(f"| {name} | {value} | {same} |")
    print()
    print(f"Text: {'/'.join(text.parts[-3:])}, {args.chunks} chunks of 512 tokens.")
    return False, [shlex.join(["llama-perplexity", "-m", args.model, "--kl-divergence", *common])]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a GGUF file")
    parser.add_argument("-p", "--prompt", default="512", help="prompt lengths (default: %(default)s)")
    parser.add_argument("-n", "--gen", default="128", help="generated lengths (default: %(default)s)")
    parser.add_argument("-d", "--depth", default="0", help="context depths (default: %(default)s)")
    parser.add_argument("-t", "--threads", default="1,2", help="default: %(default)s")
    parser.add_argument("-N", "--repeats", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--tern", type=Path, default=ROOT / "build/release/tern",
                        help="default: build/release/tern")
    parser.add_argument("--peer-dir", type=Path, default=builds.default_dir(),
                        help="where builds.py built (default: %(default)s)")
    parser.add_argument("--kl", action="store_true", help="measure the KL divergence instead")
    parser.add_argument("--text", type=Path, help="for --kl (default: a text of llama.cpp's own)")
    parser.add_argument("--chunks", type=int, default=8, help="for --kl (default: %(default)s)")
    parser.add_argument("--keep", type=Path, help="for --kl: keep the f32 model and reference here")
    args = parser.parse_args()

    peer = builds.finished(args.peer_dir)
    if not peer:
        raise SystemExit(f"error: no build in {args.peer_dir}; run bench/peers/builds.py llama.cpp")
    busy, commands = (kl if args.kl else speed)(args, peer)
    print(f"Machine: {machine()}. Date: {datetime.date.today()}. "
          f"Peer: llama.cpp {peer['commit']} ({builds.LLAMA_CPP.package} {peer['version']}).")
    print("Commands: " + "; ".join(f"`{c}`" for c in commands))
    return 2 if busy else 0


if __name__ == "__main__":
    sys.exit(main())
