"""One turn of a case: every engine asked once, in order, and what disturbed it."""

import shlex
import subprocess
import sys
import time
from pathlib import Path

import builds
import compare
import kl
import measure
from cases import Metric
from measure import Failed

AGAIN = 2  # times that a disturbed turn is made again


def make_turn(args, engines, case, model, number, left):
    """{figures: {engine: {metric: value}}, errors, others, commands, seconds}; again while something disturbs it and
    `left()`, seconds, allows."""
    order = engines if number % 2 == 0 else engines[::-1]
    for _ in range(AGAIN + 1):
        turn, begin = Turn(args, str(model), case), time.monotonic()
        turn.make(order)
        out = turn.result | {"seconds": round(time.monotonic() - begin, 1)}
        if out["others"] <= args.busy or left() < out["seconds"]:
            break
        print(f"{case.name}: others used {out['others']:.2f} cores, once more", file=sys.stderr)
    return out


class Turn:
    def __init__(self, args, model, case):
        self.args, self.model, self.case = args, model, case
        self.most = args.threads[-1]
        self.runs = []
        self.result = {"figures": {}, "errors": {}, "others": 0.0, "commands": {}}

    def make(self, order):
        if self.case.kind == "kl":
            return self.errors_of_kernels(next(e for e in order if e.name == "tern"))
        if self.case.kind == "serving":
            return self.serving(next(e for e in order if e.name == "tern"))
        visit = {"speed": self.speed, "batched": self.batched, "start": self.start}[self.case.kind]
        for engine in order:
            if self.case.kind == "start" and not engine.starts:
                continue
            try:
                self.result["figures"][engine.name] = {str(metric): value for metric, value in visit(engine).items()}
            except Failed as error:
                self.result["errors"][engine.name] = str(error)
                print(f"{self.case.name} {engine.name}: {error}", file=sys.stderr)

    def ran(self, engine, command):
        done = measure.run(command, engine.environment)
        self.runs.append(done)
        self.result["others"] = round(measure.cores_of_others(self.runs), 3)
        self.result["commands"].setdefault(engine.name, shown(command))
        return done

    def speed(self, engine):
        """Prompts at the most threads, or at each; decoding at each."""
        figures, each = {}, self.args.all_threads
        plans = [(self.case.prompts, self.args.threads if each else [self.most])]
        plans += [] if each else [((), [threads]) for threads in self.args.threads[:-1]]
        for prompts, threads in plans:
            ran = self.ran(engine, engine.speed(self.model, prompts, self.case.decode, threads))
            figures.update(engine.read_speed(ran.output))
        return figures

    def batched(self, engine):
        figures = {}
        for threads in self.args.threads if self.case.threads == "each" else [self.most]:
            ran = self.ran(engine, engine.batched(self.model, self.case, threads))
            figures.update(engine.read_batched(ran.output + ran.errors, threads))
        if not figures:
            raise Failed("no row in the output")
        return figures

    def start(self, engine):
        """Whole processes that end with the first token: cold, with all it reads out of the page cache; then warm."""
        command, figures = engine.start(self.model, self.most), {}
        self.ran(engine, command)  # whatever it keeps on the disk for the next start is there now
        files = [Path(self.model), *pack_files()]
        if all([measure.forget(path) for path in files]):
            figures[Metric("start_cold", 1, 0, self.most)] = self.ran(engine, command).seconds
        for path in files:
            measure.warm(path)
        ran = self.ran(engine, command)
        figures[Metric("start_warm", 1, 0, self.most)] = ran.seconds
        figures[Metric("rss", 1, 0, self.most)] = ran.peak_bytes / 1e6
        return figures

    def errors_of_kernels(self, tern):
        directory = self.args.peer_dir / builds.LLAMA_CPP.name
        peer = builds.finished(directory)
        if not peer:
            raise SystemExit("error: the KL needs a build of llama.cpp here: leave the kl cases out")
        text = compare.kl_text(directory)
        found = kl.measure_both(tern.program("tern"), peer["binaries"], self.model, text, self.most)
        self.result["standard_errors"] = {name: error for name, (_, error) in found.items()}
        self.result["figures"] = {name: {str(Metric("kl", 1, 0, self.most)): mean} for name, (mean, _) in found.items()}

    def serving(self, tern):
        command = [sys.executable, str(Path(__file__).with_name("serving.py")), self.model, "-t", str(self.most),
                   "--tern", tern.program("tern"), "--peer-dir", str(self.args.peer_dir / builds.LLAMA_CPP.name)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        self.result["table"] = done.stdout
        if done.returncode == 2:
            self.result["others"] = 1.0  # it found the machine busy
        elif done.returncode:
            self.result["errors"]["serving"] = f"serving.py ended with {done.returncode}"


def shown(command):
    """A command without the folders of this machine."""
    return shlex.join(Path(word).name if word.startswith("/") else word for word in command)


def pack_files():
    """What tern keeps beside models to start sooner: everything of its cache that is neither model nor peer."""
    root = builds.cache_dir()
    return [path for path in root.rglob("*")
            if path.is_file() and path.relative_to(root).parts[0] not in ("models", "peers", "partial")]
