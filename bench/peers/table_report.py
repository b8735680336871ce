"""The Markdown table of bench/peers/table.py, from the result files alone: figures, ratios, shares, verdicts."""

import datetime
import json
import re
import statistics
from collections import Counter
from dataclasses import dataclass

import cases
import compare
import engines
import goals
from cases import Metric
from measure import read_limit

LIMITS = ("read_4k_gbps", "read_huge_gbps", "int8_gops", "bf16_gflops", "f32_gflops", "int8_tile_gops",
          "bf16_tile_gflops")
# Tokens from which tern multiplies on tiles, where there are any: kLeastTokens of src/kernels/linear/*_amx.*.
BLOCK32_TILE_TOKENS, KQUANT_TILE_TOKENS = 25, 11
FEWEST = 2  # undisturbed turns that a median needs, where more than one was asked for


def operations_per_token(facts, with_head):
    """Two for each weight of the products; attention's own, which grow with the context, are not counted."""
    embedding = facts["vocabulary"] * facts["hidden"]
    layers = facts["parameters"] - embedding * (1 if facts.get("tied_embeddings") else 2)
    return 2 * (layers + (embedding if with_head else 0))


def peak_of(format_name, tokens, limits):
    """Operations a second of the instruction that multiplies so many tokens of a format here; None if not measured."""
    if format_name == "bf16":
        return limits.get("bf16_tile_gflops") or limits.get("bf16_gflops")
    kquant = format_name.endswith("_k") or format_name == "iq4_xs"
    tiles = tokens >= (KQUANT_TILE_TOKENS if kquant else BLOCK32_TILE_TOKENS)
    return tiles and limits.get("int8_tile_gops") or limits.get("int8_gops")


def share_of_limit(metric, value, facts, limits):
    """Of the machine's limit at these threads, or None where it is not known or the figure has none."""
    limits = limits.get(str(metric.threads), {})
    if not limits or not facts:
        return None
    if metric.kind == "decode":
        cached = facts["kv_bytes_per_token"]["f16"] * (metric.context + metric.size / 2)
        read = read_limit(limits)
        return value * (facts["weight_bytes_per_token"] + cached) / (read * 1e9) if read else None
    if metric.kind in ("prompt", "together") and metric.size > 1:
        formats = facts.get("formats", {})
        peak = peak_of(max(formats, key=formats.get, default=""), metric.size, limits)
        return value * operations_per_token(facts, metric.kind == "together") / (peak * 1e9) if peak else None
    return None


@dataclass
class Row:
    model: str
    metric: Metric
    values: dict  # {engine: [one value a turn]}
    share: float | None
    verdict: goals.Verdict

    def median(self, engine):
        return statistics.median(self.values[engine]) if self.values.get(engine) else None

    def ratio(self, engine):
        mine, other = self.median("tern"), self.median(engine)
        return mine / other if mine is not None and other else None


def clean_turns(result, busy):
    """The turns that nothing disturbed, and whether they are enough for a median."""
    clean = [turn for turn in result["turns"] if turn["others"] <= busy]
    enough = len(clean) >= min(FEWEST, result.get("asked", 1))
    return (clean if enough else result["turns"]), enough


def rows_of(result, peers, busy):
    """A case's rows; `peers` are the engines beside tern that took part."""
    turns, _ = clean_turns(result, busy)
    values = {}
    for turn in turns:
        for engine, figures in turn["figures"].items():
            for name, value in figures.items():
                values.setdefault(Metric.parse(name), {}).setdefault(engine, []).append(value)
    rows = []
    for metric in sorted(values, key=lambda m: (m.kind, m.size, m.context, -m.threads)):
        best = engines.better_variants(values[metric], metric.less_is_better)
        row = Row(result["model"], metric, best, None, None)
        mine = row.median("tern")
        if mine is not None:
            row.share = share_of_limit(metric, mine, result.get("facts"), result.get("limits", {}))
        goal = goals.goal_of(row.model, metric) if metric.threads == result["threads"][-1] else None
        asked = [peer for peer in peers if peer in best or metric.kind != "kl"]
        row.verdict = goals.verdict(goal, metric, {peer: row.ratio(peer) for peer in asked}, row.share)
        rows.append(row)
    return rows


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def cell(values):
    if not values:
        return "–"
    middle = number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({number(min(values))}–{number(max(values))})"


def times(ratio):
    return f"{ratio:.2f}×" if ratio is not None else "–"


def table(rows, peers):
    short = {"llama.cpp": "llama", "ik_llama.cpp": "ik"}
    heads = ["file", "measure", "threads", "tern", *peers, *(f"× {short.get(p, p)}" for p in peers)]
    heads += ["of limit", "goal", "verdict"]
    yield f"| {' | '.join(heads)} |"
    yield "|---|---|" + "--:|" * (3 + 2 * len(peers)) + "---|---|"
    before = None
    for row in rows:
        cells = [row.model if row.model != before else "", row.metric.title, str(row.metric.threads)]
        cells += [cell(row.values.get(engine)) for engine in ("tern", *peers)]
        cells += [times(row.ratio(peer)) for peer in peers]
        cells += [f"{100 * row.share:.0f} %" if row.share is not None else "–", row.verdict.asked or "–"]
        cells.append(str(row.verdict) or "–")
        yield f"| {' | '.join(cells)} |"
        before = row.model


def load(directory, todo):
    """{case: result} of the files that are there."""
    out = {}
    for case in todo:
        path = directory / f"{case.name}.json"
        if path.exists():
            out[case.name] = json.loads(path.read_text())
    return out


def missing(results, todo):
    """Sentences on what the table lacks."""
    for case in todo:
        result = results.get(case.name)
        if not result or (not result["turns"] and "error" not in result):
            yield f"{case.name}: not measured yet"
        elif not result["turns"]:
            yield f"{case.name}: {without_folders(result['error'])}"
        else:
            if len(result["turns"]) < result["asked"]:
                yield f"{case.name}: {len(result['turns'])} of {result['asked']} turns"
            for engine, error in Counter((e, t) for turn in result["turns"] for e, t in turn["errors"].items()):
                yield f"{case.name}, {engine}: {without_folders(error)}"


def without_folders(text):
    return re.sub(r"/\S*/", "", text)


def limits_lines(results):
    seen = []
    for result in results.values():
        if result.get("limits") and result["limits"] not in seen:
            seen.append(result["limits"])
    for limits in seen:
        yield "; ".join(f"-t {threads}: " + ", ".join(f"{k} {of[k]:,.1f}" for k in LIMITS if of.get(k))
                        for threads, of in limits.items())


def examples(results):
    """One command of each kind and engine."""
    for kind in ("speed", "batched", "start"):
        first = next((r["turns"][0] for r in results.values() if r["kind"] == kind and r["turns"]), None)
        for command in (first or {"commands": {}})["commands"].values():
            yield command


def print_report(args, todo, complaints):
    """Prints the table and its circumstances; 2 where the figures are not to be used, else 0."""
    results = load(args.dir, todo)
    measured = {name: result for name, result in results.items() if result["turns"] and result["kind"] != "serving"}
    peers = [p for p in ("llama.cpp", "ik_llama.cpp")
             if any(p == engines.variant(e) for r in measured.values() for t in r["turns"]
                    for e in (*t["figures"], *t["errors"]))]
    rows = [row for result in measured.values() for row in rows_of(result, peers, args.busy)]
    rows.sort(key=lambda row: list(cases.MODELS).index(row.model))
    print("\n".join(table(rows, peers)))
    judged = [row for row in rows if row.verdict.asked]
    met = sum(not row.verdict.missed for row in judged)
    print(f"\nGoals met: {met} of {len(judged)} rows. Median (min–max) of the turns; tokens a second where nothing else is "
          "said. The engines run in turn. \"×\": tern over the peer. \"Of limit\": see bench/peers/goals.py.")
    print_extras(results)
    for text in missing(results, todo):
        print(f"- {text}")
    complaints += [f"{name} was disturbed" for name, result in results.items()
                   if result["turns"] and not clean_turns(result, args.busy)[1]]
    for text in complaints:
        print(f"\n**Do not use these figures: {text}.**")
    print_circumstances(measured)
    return 2 if complaints else 0


def print_extras(results):
    for name, result in results.items():
        for turn in result["turns"]:
            if turn.get("table"):
                print(f"\n{name}:\n\n{turn['table']}")
            if turn.get("standard_errors"):
                errors = ", ".join(f"{e} {s:.1e}" for e, s in turn["standard_errors"].items())
                print(f"\n{name}, standard errors: {errors}")


def print_circumstances(measured):
    dates = sorted({result["date"] for result in measured.values()}) or [str(datetime.date.today())]
    print(f"\nMachine: {compare.machine()}. Date: {dates[0]}{f' to {dates[-1]}' if len(dates) > 1 else ''}.")
    for version in dict.fromkeys(v for result in measured.values() for v in result["versions"]):
        print(f"- {version}")
    for line in limits_lines(measured):
        print(f"- limits (GB/s, GOP/s, GFLOP/s), {line}")
    for command in dict.fromkeys(examples(measured)):
        print(f"- `{command}`")
