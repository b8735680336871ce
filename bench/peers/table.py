#!/usr/bin/env python3
"""tern beside llama.cpp and ik_llama.cpp: one table of speed, start, memory and error, from one command.

    python3 bench/peers/table.py [--full] [--cases NAME*,...] [--minutes 20]
    python3 bench/peers/table.py --report          the table of what is there, without measuring

The engines take turns on every case, forwards in one turn and backwards in the next, so that a change of the machine's
state falls on all; a figure is the median of the turns, with the range. A turn in which other processes used the CPU is
made again; where that does not help, the figures are void, and the script says so and exits with 2. The limits of the
machine are measured before and after; where they are 10 % under what they were, the run is void as well.

Each case's result is kept in --dir, turn by turn, and is not made again while programs and file are the same: what was
interrupted, or had no time left within --minutes, goes on with the next call. The core table fits into 20 minutes on two
cores: three turns of each case, two more while there is time. --full adds contexts of 16k, more files, 1 thread for
prompts, five turns of each, and the serving load.

Programs made elsewhere, for a machine without compiler and network (each folder holds programs and libraries):
    python3 bench/peers/table.py --tern PATH --llama-cpp DIR --ik DIR --models DIR --threads 1,16 --minutes 4
"""

import argparse
import datetime
import hashlib
import json
import os
import shutil
import sys
import time
from pathlib import Path

import builds
import cases
import compare
import engines
import measure
import table_report
import visits
from measure import Failed


class Bench:
    """The engines, files and results of one call."""

    def __init__(self, args):
        self.args, self.began = args, time.monotonic()
        self.engines = make_engines(args)
        self.tern = self.engines[0]
        self.limits = {}  # {threads: of this call}
        args.dir.mkdir(parents=True, exist_ok=True)
        args.models.mkdir(parents=True, exist_ok=True)

    def left(self):
        """Seconds until the time is up, but for what it takes to end."""
        if not self.args.minutes:
            return float("inf")
        return 60 * self.args.minutes - 10 - (time.monotonic() - self.began)

    # Files.

    def file_of(self, name):
        """The path of a model, made or fetched once; Failed where that is impossible here."""
        path, file = self.args.models / f"{name}.gguf", cases.MODELS[name]
        if path.exists():
            return path
        if file.alias:
            return Path(self.pull(file.alias))
        scratch = path.with_suffix(f".{os.getpid()}.part")  # other lanes may make the same file
        if file.synth:
            command = [self.tern.program("tern"), "synth", file.synth, "--type", file.type, "--seed", "0"]
            command += ["-o", str(scratch)]
        else:
            source = str(self.file_of(file.made_from))
            quantizer = self.peer_program("llama.cpp", "llama-quantize")
            command = [quantizer, "--allow-requantize", source, str(scratch), file.type]
        print(f"making {path.name}", file=sys.stderr)
        try:
            measure.run(command)
        except Failed:
            scratch.unlink(missing_ok=True)
            raise
        scratch.rename(path)
        return path

    def pull(self, alias):
        manifest = [] if alias == "smollm2" else ["--manifest", str(compare.ROOT / "bench/models.json")]
        return measure.run([self.tern.program("tern"), "pull", alias, *manifest]).output.strip().splitlines()[-1]

    def peer_program(self, name, program):
        for engine in self.engines:
            if engine.name == name and Path(engine.program(program)).exists():
                return engine.program(program)
        raise Failed(f"{program} of {name} is not here")

    def facts(self, path):
        return json.loads(measure.run([self.tern.program("tern"), "info", str(path), "--json"]).output)

    # Limits.

    def measure_limits(self):
        """{threads: limits}, empty where this tern does not measure them."""
        try:
            limits = json.loads(measure.run(self.tern.limits(self.args.threads)).output)["limits"]
            return {str(of["threads"]): of for of in limits["by_threads"] if of["threads"] in self.args.threads}
        except (Failed, ValueError, KeyError) as error:
            print(f"no limits of the machine: {error}", file=sys.stderr)
            return {}

    def check_limits(self, label):
        """Measures them, thrice where they are low, keeps them, and returns why the run is void, or nothing."""
        path = self.args.dir / "limits.json"
        history = json.loads(path.read_text()) if path.exists() else []
        machine = [measure.cpu_kind(), compare.machine()]
        same = [entry["limits"] for entry in history if entry["machine"] == machine]
        now, complaint = {}, ""
        for _ in range(3):
            now = measure.better_limits(now, self.measure_limits())
            complaint = measure.limit_complaint(machine[0], now, same)
            if not complaint:
                break
        self.limits = now or self.limits
        history.append({"when": timestamp(), "at": label, "machine": machine, "limits": now})
        write(path, history)
        if complaint:
            print(f"**{complaint}**", file=sys.stderr)
        return complaint

    # Cases.

    def fingerprint(self, case, model):
        """Changes with anything that the case's figures depend on."""
        programs = [Path(e.program("tern" if e is self.tern else "llama-bench")) for e in self.engines]
        marks = [measure.file_mark(p) for p in (*programs, model)]
        words = [marks, [e.version for e in self.engines[1:]], repr(case), self.args.threads, self.args.all_threads]
        return hashlib.sha256(json.dumps(words).encode()).hexdigest()

    def one(self, case, spare=False):
        """Makes the turns of a case that are missing. `spare`: those of the full table, of a case that is complete."""
        path = self.args.dir / f"{case.name}.json"
        kept = json.loads(path.read_text()) if path.exists() else {}
        asked = self.args.turns or cases.turns_of(case, self.args.full)
        turns = max(asked, case.full) if spare else asked
        if self.left() < case.seconds or spare and len(kept.get("turns", [])) < asked:
            return
        try:
            model = self.file_of(case.model)
            mark = self.fingerprint(case, model)
            if kept.get("fingerprint") != mark or self.args.again and not spare:
                kept = {"fingerprint": mark, "case": case.name, "model": case.model, "kind": case.kind,
                        "turns": [], "facts": self.facts(model)}
        except Failed as error:
            write(path, {"case": case.name, "model": case.model, "kind": case.kind, "turns": [], "error": str(error)})
            print(f"{case.name}: {error}", file=sys.stderr)
            return
        kept.update(date=datetime.date.today().isoformat(), asked=asked, threads=self.args.threads,
                    limits=self.limits or kept.get("limits", {}), versions=[e.version for e in self.engines])
        while (number := len(kept["turns"])) < turns:
            if self.left() < (kept["turns"][-1]["seconds"] if number else case.seconds):
                break
            turn = visits.make_turn(self.args, self.engines, case, model, number, self.left)
            kept["turns"].append(turn)
            write(path, kept)
            rates = ", ".join(f"{k} {v:.4g}" for k, v in list(turn["figures"].get("tern", {}).items())[:3])
            print(f"{case.name} {number + 1}/{turns}: tern {rates}; others {turn['others']:.2f} cores", file=sys.stderr)


def timestamp():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def write(path, value):
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(value, indent=1))
    scratch.rename(path)


def make_engines(args):
    if not args.tern.exists():
        raise SystemExit(f"error: no {args.tern}; build it, or give --tern")
    if args.tern.name != "tern":
        raise SystemExit(f"error: {args.tern} is not called tern")
    tern = args.tern.resolve()
    version = measure.run([str(tern), "--version"]).output.strip().splitlines()[0]
    out = [engines.Tern("tern", tern.parent, version)]
    if "llama.cpp" in args.engines:
        kinds = {"llama.cpp": engines.LlamaCpp}
        out += engines.peer_engines(kinds, builds.LLAMA_CPP, args.llama_cpp, args.peer_dir / "llama.cpp")
    if "ik_llama.cpp" in args.engines:
        kinds = {"ik_llama.cpp": engines.IkLlamaCpp, "ik_llama.cpp -rtr": engines.IkRepacked}
        out += engines.peer_engines(kinds, builds.IK_LLAMA_CPP, args.ik, args.peer_dir / "ik_llama.cpp")
    return out


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="every case, five turns, prompts at each thread count")
    parser.add_argument("--cases", default="", help="only these, such as 'speed-*,kl-*'")
    parser.add_argument("--minutes", type=float, default=0, help="end within this time (default: when all is measured)")
    parser.add_argument("--turns", type=int, default=0, help="of every case (default: the case's own)")
    parser.add_argument("-t", "--threads", default="", help="default: 1 and all cores")
    parser.add_argument("--all-threads", action="store_true", help="prompts at each thread count too")
    parser.add_argument("--engines", default="llama.cpp,ik_llama.cpp", help="beside tern (default: %(default)s)")
    parser.add_argument("--again", action="store_true", help="forget the results of these cases")
    parser.add_argument("--report", action="store_true", help="print the table of the results that are there")
    parser.add_argument("--busy", type=float, default=measure.BUSY,
                        help="cores used by others that void a turn (default: %(default)s)")
    parser.add_argument("--tern", type=Path, default=compare.ROOT / "build/release/tern")
    parser.add_argument("--llama-cpp", type=Path, help="folder with llama.cpp's programs, instead of builds.py's")
    parser.add_argument("--ik", type=Path, help="the same of ik_llama.cpp")
    parser.add_argument("--peer-dir", type=Path, default=builds.cache_dir() / "peers", help="of builds.py")
    parser.add_argument("--models", type=Path, help="folder of the files (default: --peer-dir's models)")
    parser.add_argument("--dir", type=Path, default=compare.ROOT / "build/bench-peers", help="of the results")
    args = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    args.threads = sorted({int(t) for t in args.threads.split(",")}) if args.threads else sorted({1, cores})
    args.models = (args.models or args.peer_dir / "models").resolve()
    args.all_threads = args.all_threads or args.full
    args.engines = args.engines.split(",") if args.engines else []
    return args


def main():
    args = parse_arguments()
    todo = cases.chosen(args.cases.split(",") if args.cases else [], args.full)
    if args.report:
        return table_report.print_report(args, todo, [])
    if shutil.disk_usage(args.dir.parent if args.dir.parent.exists() else ".").free < 8e9:
        print("less than 8 GB of disk are free: files may not fit", file=sys.stderr)
    bench = Bench(args)
    minutes = cases.expected_seconds(todo, args.full, args.turns) / 60
    limit = f", ends after {args.minutes:g}" if args.minutes else ""
    print(f"{len(todo)} cases, about {minutes:.0f} minutes on two cores{limit}; results in {args.dir}", file=sys.stderr)
    complaints = [bench.check_limits("begin")]
    for case in todo:
        bench.one(case)
    if args.minutes and not args.turns:
        for case in todo:
            bench.one(case, spare=True)
    complaints.append(bench.check_limits("end"))
    return table_report.print_report(args, todo, [text for text in complaints if text])


if __name__ == "__main__":
    sys.exit(main())
