"""What tern aims at on CPUs, as data: the project's goals beside each peer, and what a measurement says of them.

A ratio is tern's median over the peer's in one run, so 0.5 for a time means half of the peer's. A share is of what the
machine can do in the same run (`tern bench --roofline`): decoding by the bytes that a token reads over the better of the
two read loops; prompts and many sequences by two operations a weight over the int8 peak, bf16's for bf16 weights, each of
the tiles' where tern multiplies on tiles (table_report.peak_of). The stretch is said beside it in brackets, and is no
condition.
"""

from dataclasses import dataclass
from fnmatch import fnmatch


@dataclass(frozen=True)
class Goal:
    models: str  # a pattern; several, with blanks between
    kind: str  # of Metric
    size: int = 0  # 0: any
    context: int = 0  # -1: any
    ratio: float = 0  # against llama.cpp; 0: none asked
    share: float = 0
    stretch: float = 0


GOALS = [
    # Decoding, one sequence.
    Goal("synth1b-* synth8b-* qwen1.5b-* synth1.5b-*", "decode", ratio=1.1, share=0.90, stretch=0.95),
    Goal("qwen0.5b-q4_k_m synth0.5b-q4_k_m", "decode", ratio=1.7, share=0.80, stretch=0.90),
    Goal("qwen0.5b-q4_0 synth0.5b-q4_0", "decode", ratio=1.4, share=0.80, stretch=0.90),
    Goal("qwen0.5b-q8_0 synth0.5b-q8_0", "decode", ratio=1.3, share=0.80, stretch=0.90),
    Goal("smollm2-q4_1 smollm2-q4_k_m synth135m-q4_1 synth135m-q4_k_m", "decode", ratio=2.0, share=0.75, stretch=1.0),
    Goal("smollm2-q4_0 synth135m-q4_0", "decode", ratio=1.5, share=0.75, stretch=1.0),
    Goal("smollm2-q8_0 synth135m-q8_0", "decode", ratio=1.7, share=0.75, stretch=1.0),
    Goal("smollm2-bf16 synth135m-bf16", "decode", ratio=1.15, share=0.75, stretch=1.0),
    Goal("*", "decode", context=16384, ratio=1.6),
    # Prompts.
    Goal("smollm2-q4_1 synth135m-q4_1", "prompt", 512, ratio=5.0, share=0.35, stretch=0.45),
    Goal("smollm2-q4_0 synth135m-q4_0", "prompt", 512, ratio=2.0, share=0.35, stretch=0.45),
    Goal("smollm2-q4_k_m synth135m-q4_k_m", "prompt", 512, ratio=4.0, share=0.35, stretch=0.45),
    Goal("smollm2-q8_0 synth135m-q8_0", "prompt", 512, ratio=2.7, share=0.35, stretch=0.45),
    Goal("smollm2-bf16 synth135m-bf16", "prompt", 512, ratio=2.2, share=0.58),
    Goal("qwen*-q4_k_m synth*-q4_k_m", "prompt", 512, ratio=3.0, share=0.55, stretch=0.70),
    Goal("qwen*-q4_0 synth*-q4_0", "prompt", 512, ratio=2.4, share=0.48, stretch=0.60),
    Goal("*", "prompt", 16384, ratio=4.0),
    # Sequences decoding together.
    Goal("*", "together", 16, ratio=2.5, share=0.30, stretch=0.50),
    # Start, memory, error: at most.
    Goal("*", "start_warm", ratio=0.5),
    Goal("*", "rss", ratio=0.6),
    Goal("*", "kl", ratio=1.0),
]

# Against ik_llama.cpp: never behind, and ahead in prompts.
IK_RATIO, IK_PROMPT_RATIO = 1.0, 1.15


def goal_of(model, metric):
    """The goal that a figure at the most threads has, or None."""
    for goal in GOALS:
        if (goal.kind == metric.kind and any(fnmatch(model, pattern) for pattern in goal.models.split())
                and goal.size in (0, metric.size) and goal.context in (-1, metric.context)):
            return goal
    return None


def ik_goal(metric):
    """The ratio over ik_llama.cpp that a figure has to reach; of a time or a size, to stay under. None for what ik
    has no like of: it keeps the file mapped as it is, and so starts in a way of its own."""
    if metric.kind in ("start_cold", "start_warm", "rss", "kl"):
        return None
    return IK_PROMPT_RATIO if metric.kind == "prompt" else IK_RATIO


@dataclass(frozen=True)
class Verdict:
    asked: str
    missed: tuple

    def __str__(self):
        return "" if not self.asked else "missed: " + ", ".join(self.missed) if self.missed else "met"


def verdict(goal, metric, ratios, share):
    """`ratios`: of tern to each peer of the run, None where it failed; `share` of the limit, None if unknown."""
    asked, missed = [], []

    def ask(text, value, bound, shown):
        asked.append(text)
        if value is None:
            missed.append(f"{shown} not measured")
        elif (value > bound) if metric.less_is_better else (value < bound):
            missed.append(shown)

    sign = "≤" if metric.less_is_better else "≥"
    if goal and goal.ratio and "llama.cpp" in ratios:
        ask(f"{sign} {goal.ratio:g}×", ratios["llama.cpp"], goal.ratio, "llama.cpp")
    if goal and goal.share:
        stretch = f" ({100 * goal.stretch:.0f})" if goal.stretch else ""
        ask(f"{sign} {100 * goal.share:.0f}{stretch} %", share, goal.share, "limit")
    bound = ik_goal(metric)
    if bound and "ik_llama.cpp" in ratios:
        ask(f"ik {sign} {bound:g}×", ratios["ik_llama.cpp"], bound, "ik")
    return Verdict(", ".join(asked), tuple(missed))
