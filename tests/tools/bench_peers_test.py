#!/usr/bin/env python3
"""What bench/peers decides by itself: how answers are read, goals judged, and results kept and resumed.

The programs are stand-ins of a few lines that answer as tern and llama-bench do, and count how often they are asked.
"""

import argparse
import contextlib
import io
import json
import os
import struct
import sys
import tempfile
import unittest
from array import array
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench" / "peers"))
sys.dont_write_bytecode = True

import builds
import cases
import compare
import engines
import goals
import kl
import measure
import table
import table_report
from cases import Metric

FACTS = {"parameters": 1100, "vocabulary": 10, "hidden": 10, "tied_embeddings": True, "weight_bytes_per_token": 1000,
         "kv_bytes_per_token": {"f16": 10}, "formats": {"q4_0": 500}}
LIMITS = {"2": {"threads": 2, "read_4k_gbps": 1e-4, "read_huge_gbps": 2e-4, "int8_gops": 1e-3, "bf16_gflops": 5e-4}}


class Builds(unittest.TestCase):
    def test_vnni_is_found_in_machine_code(self):
        zmm = bytes.fromhex("62f27d4850c1")  # vpdpbusd zmm0, zmm0, zmm1
        ymm = bytes.fromhex("62f27d2850c1")
        other = bytes.fromhex("62f27d4851c1")  # vpdpbusds
        self.assertEqual(builds.count_vnni(b"\x90" + zmm * 3 + ymm + other), 3)

    def test_an_unused_unit_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "libggml-cpu.so"
            library.write_bytes(bytes.fromhex("62f27d4850c1") * 60)
            builds.check_vector_units("AVX512_VNNI = 1", library, {"avx512_vnni"})
            builds.check_vector_units("", library, {"avx2"})
            for info, flags in (("AVX512_VNNI = 0", {"avx512_vnni"}), ("AVX512_VNNI = 1", {"avx512_vnni", "avx512_bf16"}),
                                ("AVX512_VNNI = 1", {"avx512_vnni", "amx_int8"})):
                with self.assertRaises(SystemExit):
                    builds.check_vector_units(info, library, flags)
            library.write_bytes(b"nothing of the kind")
            with self.assertRaises(SystemExit):
                builds.check_vector_units("AVX512_VNNI = 1", library, {"avx512_vnni"})


    def test_a_build_that_was_carried_elsewhere_is_found_with_its_programs(self):
        made = {"version": builds.LLAMA_CPP.version, "commit": "", "binaries": {"llama-bench": "bin/llama-bench"}}
        with tempfile.TemporaryDirectory() as folder:
            here, there = Path(folder).resolve() / "here", Path(folder).resolve() / "there"
            (here / "bin").mkdir(parents=True)
            (here / "build.json").write_text(json.dumps(made))
            self.assertIsNone(builds.finished(here))
            (here / "bin/llama-bench").touch()
            here.rename(there)
            self.assertEqual(builds.finished(there)["binaries"], {"llama-bench": str(there / "bin/llama-bench")})
            (there / "build.json").write_text(json.dumps({**made, "version": "another"}))
            self.assertIsNone(builds.finished(there))


class Answers(unittest.TestCase):
    def test_speed(self):
        rows = [{"n_prompt": 512, "n_gen": 0, "n_threads": 2, "samples_ts": [300.5]},
                {"n_prompt": 0, "n_gen": 64, "n_depth": 4096, "n_threads": 1, "samples_ts": [70]}]
        self.assertEqual(engines.read_speed("loading [x]\n" + json.dumps(rows, indent=1)),
                         {Metric("prompt", 512, 0, 2): 300.5, Metric("decode", 64, 4096, 1): 70})
        with self.assertRaises(measure.Failed):
            engines.read_speed("error: no such file")

    def test_batched_table(self):
        text = ("|    PP |     TG |    B |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |      T s |    S t/s |\n"
                "|-------|--------|------|--------|----------|----------|----------|----------|----------|----------|\n"
                "|    32 |     32 |   16 |   1024 |    0.300 |  1706.67 |    1.200 |   426.67 |    1.500 |   682.67 |\n"
                "|  4096 |     32 |    1 |   4128 |   10.000 |   409.60 |    0.800 |    40.00 |   10.800 |   382.22 |\n")
        self.assertEqual(engines.read_batched_table(text, 2),
                         {Metric("together", 16, 0, 2): 426.67, Metric("prompt", 4096, 0, 2): 409.6,
                          Metric("decode", 32, 4096, 2): 40})

    def test_of_two_variants_the_better_median_counts(self):
        values = {"tern": [9], "ik_llama.cpp": [10, 30, 11], "ik_llama.cpp -rtr": [12, 13, 1]}
        self.assertEqual(engines.better_variants(values, False), {"tern": [9], "ik_llama.cpp": [12, 13, 1]})
        self.assertEqual(engines.better_variants(values, True)["ik_llama.cpp"], [10, 30, 11])

    def test_metric_names_come_back(self):
        metric = Metric("decode", 32, 4096, 2)
        self.assertEqual(Metric.parse(str(metric)), metric)


class Goals(unittest.TestCase):
    def test_first_goal_that_fits(self):
        self.assertEqual(goals.goal_of("smollm2-q4_1", Metric("prompt", 512, 0, 2)).ratio, 5.0)
        self.assertEqual(goals.goal_of("qwen0.5b-q4_k_m", Metric("decode", 32, 0, 2)).ratio, 1.7)
        self.assertEqual(goals.goal_of("qwen0.5b-q4_k_m", Metric("decode", 32, 16384, 2)).ratio, 1.6)
        self.assertIsNone(goals.goal_of("smollm2-q4_1", Metric("decode", 32, 4096, 2)))
        self.assertIsNone(goals.goal_of("smollm2-q4_1", Metric("prompt", 128, 0, 2)))

    def test_verdicts(self):
        metric, goal = Metric("prompt", 512, 0, 2), goals.Goal("*", "prompt", ratio=2, share=0.5)
        met = goals.verdict(goal, metric, {"llama.cpp": 2.0, "ik_llama.cpp": 1.15}, 0.5)
        self.assertEqual(str(met), "met")
        self.assertEqual(goals.verdict(goal, metric, {"llama.cpp": 1.9, "ik_llama.cpp": 1.1}, 0.4).missed,
                         ("llama.cpp", "limit", "ik"))
        self.assertEqual(goals.verdict(goal, metric, {"llama.cpp": None}, None).missed,
                         ("llama.cpp not measured", "limit not measured"))
        start = Metric("start_warm", 1, 0, 2)
        self.assertFalse(goals.verdict(goals.goal_of("x", start), start, {"llama.cpp": 0.4, "ik_llama.cpp": 9}, None).missed)
        self.assertTrue(goals.verdict(goals.goal_of("x", start), start, {"llama.cpp": 0.6}, None).missed)
        self.assertEqual(str(goals.verdict(None, start, {"llama.cpp": 9}, None)), "")

    def test_every_goal_names_a_model_that_exists(self):
        from fnmatch import fnmatch
        for goal in goals.GOALS:
            for pattern in goal.models.split():
                self.assertTrue(any(fnmatch(model, pattern) for model in cases.MODELS), pattern)


class Shares(unittest.TestCase):
    def test_decode_by_bytes_and_prompts_by_operations(self):
        decode = table_report.share_of_limit(Metric("decode", 20, 90, 2), 50, FACTS, LIMITS)
        self.assertAlmostEqual(decode, 50 * (1000 + 10 * 100) / 2e5)
        prompt = table_report.share_of_limit(Metric("prompt", 512, 0, 2), 100, FACTS, LIMITS)
        self.assertAlmostEqual(prompt, 100 * 2000 / 1e6)
        together = table_report.share_of_limit(Metric("together", 16, 0, 2), 100, FACTS, LIMITS)
        self.assertAlmostEqual(together, 100 * 2200 / 1e6)
        bf16 = {**FACTS, "formats": {"bf16": 900, "f32": 5}}
        self.assertAlmostEqual(table_report.share_of_limit(Metric("prompt", 512, 0, 2), 100, bf16, LIMITS), 2 * prompt)
        self.assertIsNone(table_report.share_of_limit(Metric("decode", 20, 0, 1), 50, FACTS, LIMITS))

    def test_what_runs_on_tiles_is_held_against_the_tiles(self):
        tiled = {"2": {**LIMITS["2"], "int8_tile_gops": 8e-3, "bf16_tile_gflops": 4e-3}}

        def factor(metric, name):
            """How much lower the share is where there are tiles."""
            facts = {**FACTS, "formats": {name: 900, "f32": 5}}
            plain, with_tiles = (table_report.share_of_limit(metric, 100, facts, limits) for limits in (LIMITS, tiled))
            return plain / with_tiles

        prompt, few, some = Metric("prompt", 512, 0, 2), Metric("together", 8, 0, 2), Metric("together", 16, 0, 2)
        for metric, name, expected in ((prompt, "q4_0", 8), (prompt, "q4_k", 8), (prompt, "bf16", 8), (some, "q4_0", 1),
                                       (some, "q6_k", 8), (some, "iq4_xs", 8), (few, "q4_k", 1), (few, "bf16", 8)):
            self.assertAlmostEqual(factor(metric, name), expected, msg=f"{metric} {name}")

    def test_tiles_begin_where_the_kernels_say(self):
        folder = ROOT / "src/kernels/linear"
        for name, tokens in (("linear_block32_amx.cpp", table_report.BLOCK32_TILE_TOKENS),
                             ("kquants_kernel_amx.h", table_report.KQUANT_TILE_TOKENS)):
            text = (folder / name).read_text()
            self.assertIn(f"constexpr int64_t kLeastTokens = {tokens};", text)

    def test_limits_that_fell(self):
        now = {"2": {"read_4k_gbps": 30, "read_huge_gbps": 35}}
        before = {"2": {"read_4k_gbps": 33, "read_huge_gbps": 40}}
        self.assertIn("35.0 GB/s", measure.limit_complaint("X 1 1", now, [before]))
        self.assertEqual(measure.limit_complaint("X 1 1", before, [now]), "")
        self.assertTrue(measure.limit_complaint("AuthenticAMD 25 17", {"2": {"read_4k_gbps": 20}}, []))

    def test_the_better_of_two_measurements(self):
        one, other = {"2": {"read_4k_gbps": 30, "int8_gops": 9}}, {"2": {"read_4k_gbps": 33, "int8_gops": 8}}
        self.assertEqual(measure.better_limits(one, other), {"2": {"read_4k_gbps": 33, "int8_gops": 9}})
        self.assertEqual(measure.better_limits({}, other), other)
        self.assertEqual(measure.better_limits(one, {}), one)

    def test_what_others_used(self):
        def run(seconds, others):
            return measure.Ran("", "", seconds, 0, others)
        self.assertEqual(measure.cores_of_others([]), 0)
        self.assertAlmostEqual(measure.cores_of_others([run(10, 0.5), run(2, 0.4)]), 0.2)
        self.assertAlmostEqual(measure.cores_of_others([run(0.1, 0.02), run(0.1, 0.0)]), 0.02)
        self.assertAlmostEqual(measure.cores_of_others([run(0.5, 0.5)] * 4 + [run(9, 0)]), 1.0)

    def test_others_are_those_on_the_own_processors(self):
        stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 100 100 4 5 6 0 0\ncpu1 10 0 0 1 1 0 0 0 0 0\ncpu12 7 0 0 1 1 0 0 0 0 0\nintr 5"
        self.assertEqual(compare.busy_ticks(stat, {0}), 21)
        self.assertEqual(compare.busy_ticks(stat, {1, 12}), 17)
        self.assertEqual(compare.busy_ticks(stat, {2}), 0)

    def test_a_file_is_known_wherever_it_lies(self):
        with tempfile.TemporaryDirectory() as folder:
            marks = []
            for place, text in (("a", b"one"), ("b", b"one"), ("c", b"two")):
                (Path(folder) / place).mkdir()
                (Path(folder) / place / "model").write_bytes(text)
                marks.append(measure.file_mark(Path(folder) / place / "model"))
            self.assertEqual(marks[0], marks[1])
            self.assertNotEqual(marks[0], marks[2])

    def test_kind_of_cpu(self):
        text = "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n"
        self.assertEqual(measure.cpu_kind(text), "AuthenticAMD 25 17")


class Divergence(unittest.TestCase):
    def test_of_two_rows(self):
        exact, fast = array("f", [0, 0]), array("f", [1.0986123, 0])  # 1/2, 1/2 against 3/4, 1/4
        self.assertAlmostEqual(kl.divergence(exact, fast), 0.1438410, places=6)
        self.assertEqual(kl.divergence(exact, array("f", [7, 7])), 0)

    def test_tokens_of_a_reference(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "base.kld"
            path.write_bytes(struct.pack("<8sIii", b"_logits_", 2, 9, 2) + array("i", [1, 2, 3, 4]).tobytes())
            self.assertEqual(kl.read_tokens(path), ([[1, 2], [3, 4]], 9))
            path.write_bytes(b"something else, and longer")
            with self.assertRaises(measure.Failed):
                kl.read_tokens(path)


TERN = """#!/usr/bin/env python3
import json, sys, pathlib
here = pathlib.Path(__file__).parent
open(here / "asked", "a").write(" ".join([NAME, *sys.argv[1:]]) + "\\n")
words = sys.argv[1:]
if "--version" in words: print("tern 9"); sys.exit()
if "info" in words: print(json.dumps(FACTS)); sys.exit()
if "--roofline" in words: print(json.dumps({"limits": {"by_threads": [LIMITS]}})); sys.exit()
if (here / "fails").exists(): sys.exit("out of luck")
rows = []
for threads in words[words.index("-t") + 1].split(","):
    for prompt in words[words.index("-p") + 1].split(","):
        if prompt != "0": rows.append((int(prompt), 0, int(threads)))
    rows.append((0, int(words[words.index("-n") + 1]), int(threads)))
print(json.dumps([{"n_prompt": p, "n_gen": n, "n_threads": t, "samples_ts": [RATE]} for p, n, t in rows], indent=1))
"""


class Kept(unittest.TestCase):
    """A case of stand-in programs, made, interrupted and made on."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name)
        (self.root / "models").mkdir()
        (self.root / "models/smollm2-q4_0.gguf").write_bytes(b"x")
        for program, rate in (("tern", 300.0), ("llama-bench", 100.0)):
            self.stand_in(program, rate)
        self.args = argparse.Namespace(
            dir=self.root / "results", models=self.root / "models", minutes=0, turns=0, threads=[1, 2], busy=99,
            full=False, all_threads=False, again=False, peer_dir=self.root, engines=[], tern=self.root / "tern",
            llama_cpp=None, ik=None)
        self.case = cases.speed("smollm2-q4_0", 1, core=3)

    def stand_in(self, program, rate):
        words = {"NAME": repr(program), "FACTS": repr(FACTS), "LIMITS": repr(LIMITS["2"]), "RATE": repr(rate)}
        text = TERN
        for word, value in words.items():
            text = text.replace(word, value)
        (self.root / program).write_text(text)
        (self.root / program).chmod(0o755)

    def bench(self):
        bench = table.Bench(self.args)
        bench.engines.append(engines.LlamaCpp("llama.cpp", self.root, "llama.cpp 1"))
        return bench

    def made(self):
        with contextlib.redirect_stderr(io.StringIO()):
            bench = self.bench()
            bench.check_limits("begin")
            bench.one(self.case)
        path = self.args.dir / f"{self.case.name}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def asked(self):
        """The speed measurements since the last look, by program."""
        path = self.root / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line.split()[0] for line in lines if " -p " in line]

    def test_engines_alternate_and_nothing_is_made_twice(self):
        self.args.turns = 2
        result = self.made()
        self.assertEqual(self.asked(), ["tern", "tern", "llama-bench", "llama-bench"] + ["llama-bench", "llama-bench", "tern", "tern"])
        self.assertEqual(result["turns"][0]["figures"]["tern"]["prompt/512/0/2"], 300)
        self.args.turns = 0
        self.assertEqual(len(self.made()["turns"]), 3)
        self.assertEqual(len(self.asked()), 4)  # the third turn only
        self.made()
        self.assertEqual(self.asked(), [])
        self.stand_in("tern", 3000.0)
        os.utime(self.root / "tern", ns=(1, 1))
        self.assertEqual(self.made()["turns"][0]["figures"]["tern"]["decode/64/0/1"], 3000)

    def test_spare_time_makes_more_turns(self):
        self.made()
        self.args.minutes = 5
        with contextlib.redirect_stderr(io.StringIO()):
            self.bench().one(self.case, spare=True)
        result = json.loads((self.args.dir / f"{self.case.name}.json").read_text())
        self.assertEqual((len(result["turns"]), result["asked"]), (5, 3))

    def test_no_time_left_makes_nothing(self):
        self.args.minutes = 1e-9
        self.assertIsNone(self.made())
        self.assertEqual(self.asked(), [])

    def test_a_disturbed_turn_is_made_again_and_then_voids_the_run(self):
        self.args.busy, self.args.turns = -1, 1
        self.made()
        self.assertEqual(len(self.asked()), 4 * 3)
        code, text = self.report()
        self.assertEqual(code, 2)
        self.assertIn("speed-smollm2-q4_0 was disturbed", text)

    def report(self):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            code = table_report.print_report(self.args, [self.case, cases.CASES[0]], [])
        return code, out.getvalue()

    def test_the_report(self):
        self.made()
        code, text = self.report()
        self.assertEqual(code, 0)
        row = next(line for line in text.splitlines() if "prompt 512" in line)
        self.assertIn("| 3.00× |", row)
        self.assertIn("| 60 % | ≥ 2×, ≥ 35 (45) % | met |", row)
        self.assertIn(f"{cases.CASES[0].name}: not measured yet", text)
        self.assertNotIn(str(self.root), text)

    def test_a_failing_program_is_said(self):
        (self.root / "fails").touch()
        self.args.turns = 1
        self.made()
        text = self.report()[1]
        self.assertIn("out of luck", text)
        self.assertNotIn(str(self.root), text)


if __name__ == "__main__":
    unittest.main()
