"""The programs that are compared: how each is asked for the same measurement, and how its answer is read.

Same file, same threads, f16 KV cache, one repetition a visit. Each peer gets what makes it fastest: llama.cpp its weight
repacking and flash attention (both its defaults on a CPU), ik_llama.cpp flash attention and graph reuse. It is run with
and without run-time repacking, which makes decoding faster and prompts slower for some types: the table has the better.
"""

import json
import os
import re
import statistics
from dataclasses import dataclass, field
from pathlib import Path

import builds
from cases import Metric
from measure import Failed

PROMPT = "Explain in two sentences how a bird can fly."
START_CONTEXT = 2048


def json_of(text):
    """The JSON array that a benchmark printed, whatever it said before."""
    start = text.find("[\n")
    if start < 0:
        raise Failed(f"no JSON array in: {text[-200:]!r}")
    return json.JSONDecoder().raw_decode(text, start)[0]


def read_speed(text):
    """{metric: tokens a second} of llama-bench's JSON, and of tern's."""
    return {Metric("prompt" if entry["n_prompt"] else "decode", entry["n_prompt"] or entry["n_gen"],
                   entry.get("n_depth", 0), entry["n_threads"]): float(entry["samples_ts"][0])
            for entry in json_of(text)}


def batched_metrics(rows):
    """`rows`: (prompt, answer, sequences, threads, prompt tokens a second, answer tokens a second)."""
    out = {}
    for prompt, answer, sequences, threads, prompt_rate, answer_rate in rows:
        if sequences > 1 or prompt <= 64:
            out[Metric("together", sequences, 0, threads)] = answer_rate
        else:
            out[Metric("prompt", prompt, 0, threads)] = prompt_rate
            out[Metric("decode", answer, prompt, threads)] = answer_rate
    return out


def read_batched_json(text):
    """tern's, with one array for everything."""
    return batched_metrics((e["pp"], e["tg"], e["pl"], e["n_threads"], e["speed_pp"], e["speed_tg"])
                           for e in json_of(text))


def read_batched_table(text, threads):
    """The table of llama-batched-bench: PP, TG, B, N_KV, T_PP, S_PP, T_TG, S_TG, T, S."""
    rows = []
    for line in text.splitlines():
        cells = line.strip().strip("|").split("|")
        try:
            values = [float(cell) for cell in cells]
        except ValueError:
            continue
        if len(values) == 10:
            rows.append((*map(int, values[:3]), threads, values[5], values[7]))
    return batched_metrics(rows)


def joined(values):
    return ",".join(map(str, values))


@dataclass
class Engine:
    name: str
    folder: Path  # of its programs
    version: str
    environment: dict = field(default_factory=dict)

    def program(self, name):
        return str(self.folder / name)

    def speed(self, model, prompts, decode, threads):
        return [self.program("llama-bench"), "-m", model, "-p", joined(prompts) or "0", "-n", str(decode),
                "-t", joined(threads), "-r", "1", "-o", "json", *self.bench_flags]

    def batched(self, model, case, threads):
        return [self.program("llama-batched-bench"), "-m", model, "-c", str(case.context), "-b", "2048", "-ub", "512",
                "-npp", joined(case.prompts), "-ntg", str(case.decode), "-npl", joined(case.together),
                "-t", str(threads), "-tb", str(threads), *self.batched_flags(case)]

    def batched_flags(self, case):
        return self.common_flags

    def read_speed(self, text):
        return read_speed(text)

    def read_batched(self, text, threads):
        return read_batched_table(text, threads)

    bench_flags = common_flags = ()
    starts = True  # whether its start is measured; of two variants of a program only one's is


class LlamaCpp(Engine):
    bench_flags = ("-fa", "on")
    common_flags = ("-fa", "on")

    def start(self, model, threads):
        return [self.program("llama-completion"), "-m", model, "-p", PROMPT, "-n", "1", "-no-cnv", "--temp", "0",
                "-c", str(START_CONTEXT), "-t", str(threads), "-tb", str(threads), "--no-warmup", "--offline"]


class IkLlamaCpp(Engine):
    bench_flags = ("-fa", "1", "-gr", "1")
    common_flags = ("-fa", "on", "-gr")

    def batched_flags(self, case):
        """Its flash attention ends with an assertion (S > 0) where several sequences share the cache (0.1.5)."""
        several = max(case.together) > 1
        return ("-fa", "off", *self.common_flags[2:]) if several else self.common_flags

    def start(self, model, threads):
        return [self.program("llama-cli"), "-m", model, "-p", PROMPT, "-n", "1", "--temp", "0",
                "-c", str(START_CONTEXT), "-t", str(threads), "-tb", str(threads), "--no-warmup"]


class IkRepacked(IkLlamaCpp):
    bench_flags = (*IkLlamaCpp.bench_flags, "-rtr", "1")
    common_flags = (*IkLlamaCpp.common_flags, "-rtr")
    starts = False


class Tern(Engine):
    def speed(self, model, prompts, decode, threads):
        return [self.program("tern"), "bench", model, "-p", joined(prompts) or "0", "-n", str(decode),
                "-t", joined(threads), "-r", "1", "-o", "json"]

    def batched(self, model, case, threads):
        return [self.program("tern"), "bench", model, "-npl", joined(case.together), "-p", joined(case.prompts),
                "-n", str(case.decode), "-t", str(threads), "-o", "json"]

    def read_batched(self, text, threads):
        return read_batched_json(text)

    def start(self, model, threads):
        return [self.program("tern"), "run", model, PROMPT, "--raw", "--greedy", "-n", "1",
                "-c", str(START_CONTEXT), "-t", str(threads)]

    def limits(self, threads):
        return [self.program("tern"), "bench", "--roofline", "-t", joined(threads), "-o", "json"]


def prebuilt(folder, peer):
    """A peer's engine from a folder that holds its programs and libraries together, made elsewhere."""
    folder = Path(folder).resolve()
    libraries = [folder / Path(name).name for name in (peer.llama, peer.kernels)]
    stamp = folder / "build.json"
    made = json.loads(stamp.read_text()) if stamp.exists() else {"version": "?", "commit": "of an unstated commit"}
    environment = {"LD_LIBRARY_PATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("LD_LIBRARY_PATH")]))}
    return folder, made, environment, libraries


def variant(name):
    """The program that an engine is a variant of: what its name says before a blank."""
    return name.split(" ")[0]


def better_variants(values, less):
    """{program: its values}, of {engine: values}: those of the variant with the better median."""
    out = {}
    for engine, found in values.items():
        name, middle = variant(engine), statistics.median(found)
        best = statistics.median(out[name]) if name in out else None
        if best is None or (middle < best if less else middle > best):
            out[name] = found
    return out


def peer_engines(kinds, peer, folder, directory):
    """The variants of a peer, {name: class}. `folder`: of its programs; None for what builds.py made in `directory`."""
    if folder:
        folder, made, environment, (llama, kernels) = prebuilt(folder, peer)
    else:
        made = builds.finished(directory, peer)
        if not made:
            raise SystemExit(f"error: no build in {directory}; run bench/peers/builds.py {peer.name}")
        folder, environment, tree = Path(directory).resolve() / "build" / "bin", {}, Path(directory).resolve() / "build"
        llama, kernels = tree / peer.llama, tree / peer.kernels
    info = builds.system_info(llama)
    builds.check_vector_units(info, kernels)
    used = " ".join(re.findall(r"((?:AVX512|AMX|AVX_VNNI)\w*) = 1", info))
    commit = "" if "unstated" in made["commit"] else f"{made['commit']} "
    version = f"{peer.name} {commit}({peer.package} {made['version']}), with {used}"
    return [kind(name, folder, version, environment) for name, kind in kinds.items()]
