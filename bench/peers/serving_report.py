"""The table of bench/peers/serving.py: medians over turns, ranges, and what makes a run void."""

import datetime
import shlex
import statistics
from pathlib import Path

import compare
import builds

CLIENT_SHARE = 0.05  # of one core that the load generator may use


def token_times(result, index):
    """When a request's pieces of text arrived, seconds from the start of the run."""
    now = result["start_times"][index] + result["ttfts"][index]
    times = [now]
    for gap in result["itls"][index] or []:
        now += gap
        times.append(now)
    return times


def intrusion(result):
    """The streams' gaps, ms, that overlap the time from the last request's arrival to its first token."""
    last = len(result["ttfts"]) - 1
    begin = result["start_times"][last]
    end = begin + result["ttfts"][last]
    gaps, lasting = [], 0
    for stream in range(last):
        times = token_times(result, stream)
        lasting += times[-1] > end
        gaps += [1e3 * (b - a) for a, b in zip(times, times[1:]) if b > begin and a < end]
    return sorted(gaps), 1e3 * (end - begin), lasting


def percentile(values, percent):
    """Linear between the two nearest of sorted values."""
    place = percent / 100 * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


def key(name, load="load", scale=1):
    return lambda turn: turn[load][name] * scale


# Of each load: what is measured, from one turn's results, and whether more is better.
ROWS = {
    "closed": [
        ("output, tok/s", key("output_throughput"), True),
        ("prompt and output, tok/s", key("total_token_throughput"), True),
        ("requests/s", key("request_throughput"), True),
        ("first token p50, ms", key("median_ttft_ms"), False),
        ("first token p99, ms", key("p99_ttft_ms"), False),
        ("token gap p50, ms", key("median_itl_ms"), False),
        ("token gap p99, ms", key("p99_itl_ms"), False),
        ("peak memory, MB", key("peak_bytes", scale=1e-6), False),
    ],
    "poisson": [
        ("output, tok/s", key("output_throughput"), True),
        ("first token p50, ms", key("median_ttft_ms"), False),
        ("first token p99, ms", key("p99_ttft_ms"), False),
        ("token gap p50, ms", key("median_itl_ms"), False),
        ("token gap p99, ms", key("p99_itl_ms"), False),
    ],
    "intrusion": [
        ("token gap p99 of the streams, ms", lambda turn: percentile(intrusion(turn["load"])[0], 99), False),
        ("token gap max of the streams, ms", lambda turn: intrusion(turn["load"])[0][-1], False),
        ("first token of the long prompt, ms", lambda turn: intrusion(turn["load"])[1], False),
    ],
    "prefix": [
        ("output, tok/s", key("output_throughput"), True),
        ("first token p50, ms", key("median_ttft_ms"), False),
        ("first token p99, ms", key("p99_ttft_ms"), False),
        ("one user, first token of a miss, ms", key("median_ttft_ms", "miss"), False),
        ("one user, first token of a hit, ms", key("median_ttft_ms", "hit"), False),
    ],
}


def table(results, servers):
    both = len(servers) == 2
    lines = ["| load | measure | " + " | ".join(servers) + (" | better by |" if both else " |"),
             "|---|---|" + "--:|" * (len(servers) + both)]
    for load, measured in results.items():
        for name, value, more_is_better in ROWS[load]:
            columns = [[value(turn) for turn in measured[server]] for server in servers]
            cells = [compare.spread(column) for column in columns]
            if both:
                first, second = (statistics.median(column) for column in columns)
                cells.append(f"{first / second if more_is_better else second / first:.2f}×")
            lines.append(f"| {load} | {name} | " + " | ".join(cells) + " |")
    return lines


def complaints(results):
    """What is wrong with the runs, a line each."""
    for load, measured in results.items():
        for server, turns in measured.items():
            parts = [(name, part) for turn in turns for name, part in turn.items()]
            busy = max(part["others_cores"] for _, part in parts)
            if busy > compare.BUSY:
                yield f"{load}, {server}: other processes used up to {busy:.2f} cores"
            share = max(part["client_cpu_seconds"] / part["duration"] for _, part in parts)
            if share > CLIENT_SHARE:
                yield f"{load}, {server}: the load generator used {100 * share:.1f} % of a core"
            if load == "intrusion":
                lasting = min(intrusion(part)[2] for _, part in parts)
                streams = len(parts[0][1]["ttfts"]) - 1
                if lasting < streams:
                    yield f"{load}, {server}: only {lasting} of {streams} streams outlived the long prompt's first token"


def print_report(args, results, commands, peer):
    """Prints the table and its circumstances; true when the figures are not to be used."""
    shown = {load: measured for load, measured in results.items() if load == "closed" or load in args.loads}
    print("\n".join(table(shown, args.servers)))
    counts = ", ".join(f"{load} {len(next(iter(measured.values())))}" for load, measured in shown.items())
    requests = ""
    if "closed" in shown:
        requests = f"`closed`: {sum(t['load']['completed'] for t in shown['closed'][args.servers[0]])} requests each. "
    print(f"\nMedian (min–max) over turns ({counts}), on fresh servers that alternate. "
          f"{requests}\"Better by\": {args.servers[0]} over the other.")
    wrong = list(complaints(shown))
    for line in wrong:
        print(f"\n**Do not use these figures: {line}.**")
    print(f"\nMachine: {compare.machine()}, {args.threads} threads. Date: {datetime.date.today()}. "
          f"File: {Path(args.model).name}. Peer: llama.cpp {peer['commit']} ({builds.LLAMA_CPP.package} {peer['version']}), "
          f"{peer['system_info'].strip(' |')}.")
    print("Commands: " + "; ".join(f"`{shlex.join([Path(commands[s][0]).name, *commands[s][1:]])}`"
                                   for s in args.servers))
    return bool(wrong)
