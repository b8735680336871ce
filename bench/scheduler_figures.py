#!/usr/bin/env python3
"""The figures of docs/performance/*-scheduler-simulation.md: runs `tern bench simulate` and prints the tables as markdown.

    bench/scheduler_figures.py build/release/tern [--svg FILE]
"""

import argparse
import json
import subprocess

BATCHES = [1, 2, 4, 8, 16, 32, 64, 128, 256]


def simulate(tern, *options):
    command = [tern, "bench", "simulate", "--json", "--seed", "1", *map(str, options)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def policies(tern, *options):
    return [simulate(tern, "--policy", policy, *options) for policy in ("continuous", "static")]


def load(batch, prompt):
    return ["--requests", max(2000, 40 * batch), "--lengths", "loguniform:10:500", "--prompts", prompt, "--batch", batch]


def batching(tern):
    ratios = {}
    print("| batch | prompt | continuous, out tok/s | static, out tok/s | ratio |\n|---|---|---|---|---|")
    for batch, prompt in [(b, 32) for b in BATCHES] + [(32, 128), (32, 512)]:
        new, old = policies(tern, *load(batch, prompt), "--asked", 500)
        ratio = new["output_tok_s"] / old["output_tok_s"]
        if prompt == 32:
            ratios[batch] = ratio
        print(f"| {batch} | {prompt} | {new['output_tok_s']:,.0f} | {old['output_tok_s']:,.0f} | {ratio:.2f} |")
    return ratios


def waste(tern):
    print("\n| load | policy | block | KV waste | peak blocks x block length |\n|---|---|---|---|---|")
    chat = ["--requests", 4000, "--conversations", 96, "--turns", 8, "--prompts", "loguniform:16:256", "--lengths",
            "loguniform:16:512", "--prefix-groups", 4, "--prefix-tokens", "uniform:100:400", "--longest-prompt", 4096,
            "--batch", 64]
    single = load(32, 32)
    for name, options, asked in (("conversations", chat, 2048), ("single questions", single, 500)):
        for policy, block in (("continuous", 16), ("continuous", 64), ("static", 16)):
            got = simulate(tern, *options, "--asked", asked, "--policy", policy, "--block-tokens", block)
            print(f"| {name} | {policy} | {block} | {100 * got['kv_waste']:.1f} % | {got['peak_kv_blocks'] * block:,} |")


def cost(tern):
    print("\n| running sequences | in a step on average | scheduler, ns a sequence and step |\n|---|---|---|")
    for batch in (16, 256, 1000, 10000):
        options = ["--requests", max(2000, 4 * batch), "--lengths", "loguniform:10:500", "--prompts", 32, "--batch", batch,
                   "--max-num-batched-tokens", max(512, 2 * batch)]
        times = []
        for _ in range(3):
            got = simulate(tern, *options)
            times.append(got["scheduler_ns_per_sequence"])
        print(f"| {batch:,} | {got['sequences_per_step']:,.0f} | {sorted(times)[1]:.0f} |")


def draw(ratios, path):
    width, height, left, top, bottom = 480, 240, 40, 16, 36
    step = (width - left - 20) / (len(BATCHES) - 1)
    y = lambda ratio: height - bottom - (height - top - bottom) * ratio / 5
    points = [(left + i * step, y(ratios[b])) for i, b in enumerate(BATCHES)]
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
           f'<rect width="{width}" height="{height}" fill="white"/>']
    for ratio in range(6):
        out.append(f'<line x1="{left}" x2="{width - 20}" y1="{y(ratio):.1f}" y2="{y(ratio):.1f}" stroke="#ddd"/>'
                   f'<text x="{left - 8}" y="{y(ratio) + 4:.1f}" text-anchor="end">{ratio}</text>')
    for (x, _), batch in zip(points, BATCHES):
        out.append(f'<text x="{x:.1f}" y="{height - bottom + 16}" text-anchor="middle">{batch}</text>')
    line = " ".join(f"{x:.1f},{at:.1f}" for x, at in points)
    out.append(f'<polyline points="{line}" fill="none" stroke="#1565c0" stroke-width="2"/>')
    out.append(f'<text x="{width / 2}" y="{height - 4}" text-anchor="middle">batch (log); output of continuous over static '
               "batching</text></svg>")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tern")
    parser.add_argument("--svg")
    arguments = parser.parse_args()
    ratios = batching(arguments.tern)
    if arguments.svg:
        draw(ratios, arguments.svg)
    waste(arguments.tern)
    cost(arguments.tern)


if __name__ == "__main__":
    main()
