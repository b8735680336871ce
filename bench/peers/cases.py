"""What bench/peers/table.py measures: the models, the cases, and how a figure is named."""

from dataclasses import dataclass
from typing import NamedTuple


class Metric(NamedTuple):
    """What one figure is of. Written `kind/size/context/threads` in result files."""

    kind: str  # prompt, decode, together: tokens a second; start_cold, start_warm: s; rss: MB; kl: nats
    size: int  # tokens of the prompt or the answer; together: sequences
    context: int  # tokens before it
    threads: int

    def __str__(self):
        return "/".join(map(str, self))

    @staticmethod
    def parse(text):
        kind, *rest = text.split("/")
        return Metric(kind, *map(int, rest))

    @property
    def less_is_better(self):
        return self.kind in ("start_cold", "start_warm", "rss", "kl")

    @property
    def title(self):
        context = f" at {self.context:,}" if self.context else ""
        return {
            "prompt": f"prompt {self.size:,}", "decode": f"decode {self.size}{context}",
            "together": f"{self.size} together", "start_cold": "cold start to first token, s",
            "start_warm": "warm start to first token, s", "rss": "peak memory, MB",
            "kl": "mean KL from f32 or ref, nats",
        }[self.kind]


@dataclass(frozen=True)
class File:
    """A GGUF file and where it comes from: an alias that tern pulls, another file, or tern synth."""

    alias: str = ""
    made_from: str = ""  # requantized by llama.cpp's own quantizer
    synth: str = ""
    type: str = ""


# SmolLM2-135M in the types that the goals name and two that people use; the packaged file is Q4_1. Its rows have 576
# columns, which the quantizer does not fill with blocks of 256: there Q4_K_M holds Q5_0, Q5_K_M Q5_1 and IQ4_XS IQ4_NL.
MODELS = {
    "smollm2-q4_1": File(alias="smollm2"),
    **{f"smollm2-{t}": File(made_from="smollm2-q4_1", type=t.upper())
       for t in ("q4_0", "q4_k_m", "q8_0", "bf16", "q5_k_m", "iq4_xs")},
    "qwen0.5b-q4_k_m": File(alias="qwen2.5-coder-0.5b"),
    "qwen0.5b-q4_0": File(made_from="qwen0.5b-q4_k_m", type="Q4_0"),
    "qwen0.5b-q8_0": File(made_from="qwen0.5b-q4_k_m", type="Q8_0"),
    "qwen1.5b-q4_k_m": File(alias="qwen2.5-coder-1.5b"),
    "synth1b-q4_k_m": File(synth="llama-3.2-1b", type="q4_k_m"),
    "synth1b-q4_0": File(synth="llama-3.2-1b", type="q4_0"),
    **{f"synth135m-{t}": File(synth="smollm2-135m", type=t) for t in ("q4_1", "q4_0", "q4_k_m", "q8_0", "bf16")},
    **{f"synth0.5b-{t}": File(synth="qwen2.5-0.5b", type=t) for t in ("q4_k_m", "q4_0", "q8_0")},
    "synth1.5b-q4_k_m": File(synth="qwen2.5-1.5b", type="q4_k_m"),
    "synth8b-q4_k_m": File(synth="llama-3.1-8b", type="q4_k_m"),
}


@dataclass(frozen=True)
class Case:
    """Figures that one visit of every engine in turn yields."""

    name: str
    model: str
    kind: str  # speed: one sequence, llama-bench; batched: llama-batched-bench; start; kl; serving
    seconds: float  # of one turn of all engines on two Zen 5 cores
    core: int = 0  # turns in the core table; 0: only in the full one
    full: int = 5  # turns in the full table; 0: only where it is named
    prompts: tuple = ()
    decode: int = 0
    together: tuple = (1,)
    threads: str = "most"  # of batched: most or each

    @property
    def context(self):
        """Tokens of context that all sequences of a batched case need."""
        return max(self.together) * (max(self.prompts) + self.decode)


def speed(model, seconds, core=0, prompts=(128, 512), decode=64, full=5):
    return Case(f"speed-{model}", model, "speed", seconds, core, full, prompts, decode)


def long(model, tokens, seconds, core=0, full=5, threads="most"):
    """A prompt, and decoding after it: one pass gives both figures."""
    return Case(f"context{tokens}-{threads}-{model}", model, "batched", seconds, core, full, (tokens,), 32,
                threads=threads)


def together(model, sequences, seconds, core=0, full=5):
    return Case(f"together-{model}", model, "batched", seconds, core, full, (32,), 32, sequences)


# The order is the one in which they are made: what the goals name first.
CASES = [
    speed("smollm2-q4_1", 7, core=3),
    speed("smollm2-q4_0", 7, core=3),
    speed("smollm2-q4_k_m", 8, core=3),
    speed("smollm2-q8_0", 8, core=3),
    speed("smollm2-bf16", 9, core=3),
    speed("qwen0.5b-q4_k_m", 14, core=3, decode=32),
    speed("qwen1.5b-q4_k_m", 30, core=3, prompts=(512,), decode=32),
    speed("synth1b-q4_k_m", 24, core=3, prompts=(512,), decode=32),
    speed("smollm2-q5_k_m", 8, core=3),
    speed("smollm2-iq4_xs", 8, core=3),
    Case("start-smollm2-q4_1", "smollm2-q4_1", "start", 3, core=3),
    Case("start-smollm2-q4_0", "smollm2-q4_0", "start", 3, core=3),
    Case("start-qwen0.5b-q4_k_m", "qwen0.5b-q4_k_m", "start", 6, core=3),
    together("smollm2-q4_0", (1, 2, 4, 8, 16, 32), 16, core=3),
    together("qwen0.5b-q4_k_m", (1, 4, 16), 20, core=3),
    long("smollm2-q4_0", 4096, 24, core=3),
    long("qwen0.5b-q4_k_m", 4096, 40, core=3),
    Case("kl-smollm2-q4_1", "smollm2-q4_1", "kl", 60, core=1, full=1),
    # The rest is in the full table only.
    speed("qwen0.5b-q4_0", 14, decode=32),
    speed("qwen0.5b-q8_0", 16, decode=32),
    speed("synth1b-q4_0", 25, decode=32),
    together("smollm2-q4_1", (1, 2, 4, 8, 16, 32), 20),
    together("qwen1.5b-q4_k_m", (1, 4, 16), 45),
    long("smollm2-q4_1", 4096, 40, threads="each"),
    long("smollm2-q8_0", 4096, 40, threads="each"),
    long("qwen0.5b-q4_k_m", 4096, 180, full=3, threads="each"),
    long("qwen1.5b-q4_k_m", 4096, 150, full=3),
    long("qwen0.5b-q4_k_m", 16384, 500, full=3),
    Case("start-qwen1.5b-q4_k_m", "qwen1.5b-q4_k_m", "start", 20),
    Case("kl-smollm2-q8_0", "smollm2-q8_0", "kl", 70, full=1),
    Case("serving-smollm2-q4_1", "smollm2-q4_1", "serving", 1200, full=1),
    # Only where they are named: for a machine to which no file can be brought (carry.py).
    *(speed(f"synth135m-{t}", 8, full=0) for t in ("q4_1", "q4_0", "q4_k_m", "q8_0", "bf16")),
    *(speed(f"synth0.5b-{t}", 16, full=0, decode=32) for t in ("q4_k_m", "q4_0", "q8_0")),
    speed("synth1.5b-q4_k_m", 30, full=0, prompts=(512,), decode=32),
    *(together(f"synth135m-{t}", (1, 2, 4, 8, 16, 32), 16, full=0) for t in ("q4_1", "q4_0")),
    together("synth0.5b-q4_k_m", (1, 4, 16), 20, full=0),
    together("synth1b-q4_k_m", (1, 16), 25, full=0),
    long("synth135m-q4_0", 4096, 24, full=0),
    long("synth0.5b-q4_k_m", 4096, 40, full=0),
    long("synth1.5b-q4_k_m", 4096, 150, full=0),
    long("synth0.5b-q4_k_m", 16384, 500, full=0),
    *(Case(f"start-{m}", m, "start", 6, full=0) for m in ("synth135m-q4_1", "synth0.5b-q4_k_m", "synth1.5b-q4_k_m")),
]


def chosen(names, full):
    """The cases of a table; names may end in *."""
    if not names:
        return [case for case in CASES if case.core or full and case.full]
    from fnmatch import fnmatch
    found = [case for case in CASES if any(fnmatch(case.name, name) for name in names)]
    if not found:
        raise SystemExit(f"error: no case is called {' or '.join(names)}: {' '.join(c.name for c in CASES)}")
    return found


def turns_of(case, full):
    return (case.full if full or not case.core else case.core) or 3


def expected_seconds(cases, full, turns=0):
    return sum(case.seconds * (turns or turns_of(case, full)) for case in cases)
