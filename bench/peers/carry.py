#!/usr/bin/env python3
"""Pack the comparison for a machine without compiler and network: programs, libraries and scripts in one folder.

    python3 bench/peers/carry.py FOLDER [--tern PATH]
    there: bash FOLDER/run.sh [options of table.py]

The peers are those that builds.py made here. Two things depend on the machine they run on: llama.cpp's CPU library, built
again with AMX where this machine lacks it (Sapphire Rapids and later have it), and ik_llama.cpp, which has no AMX code and
is taken as built here, so that this machine must have the other's AVX-512 units. The models are synthetic: they are made
there by tern. Results lie in FOLDER/results unless --dir says otherwise, and go along: packed again with them, on a
machine of the same kind, the next run goes on where the last one ended.

Parts of a machine, beside each other, each with processors of its own:
    for lane in 0,2 4,6; do taskset -c $lane bash FOLDER/run.sh --threads 2 --dir results/$lane ... & done; wait
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import builds
import compare

AMX_OPTIONS = ["-DGGML_NATIVE=OFF", *(f"-DGGML_{unit}=ON" for unit in (
    "SSE42", "AVX", "AVX2", "BMI2", "FMA", "F16C", "AVX_VNNI", "AVX512", "AVX512_VBMI", "AVX512_VNNI", "AVX512_BF16",
    "AMX_TILE", "AMX_INT8", "AMX_BF16"))]
PROGRAMS = {"llama.cpp": ("llama-bench", "llama-batched-bench", "llama-completion", "llama-server"),
            "ik_llama.cpp": ("llama-bench", "llama-batched-bench", "llama-cli")}
# What every Linux of these years has; everything else comes along.
SYSTEM = re.compile(r"(ld-linux.*|lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s)\.so.*|linux-vdso.*)$")

RUN = """#!/bin/bash
# table.py with the programs of this folder; without options the synthetic models of two sizes, at one thread and all.
here=$(cd "$(dirname "$0")" && pwd) || exit 1
export LD_LIBRARY_PATH=$here/tern-libraries TERN_CACHE=$here/cache
grep -m1 'model name' /proc/cpuinfo >&2
grep -owE 'amx_[a-z0-9]+|avx512_(vnni|bf16|fp16)' /proc/cpuinfo | sort -u | tr '\\n' ' ' >&2
[ $# -gt 0 ] || set -- --cases 'speed-synth135m-*,together-synth135m-q4_0,speed-synth1b-*' --turns 3 --minutes 8
exec python3 "$here/peers/table.py" --tern "$here/tern" --llama-cpp "$here/llama.cpp" --ik "$here/ik_llama.cpp" \\
  --peer-dir "$here" --models "$here/models" --dir "$here/results" "$@"
"""


def libraries_of(program):
    """{name: path} of the libraries that a program loads and other machines may lack."""
    found = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
    pairs = re.findall(r"^\s*(\S+) => (/\S+)", found, re.M)
    return {name: path for name, path in pairs if not SYSTEM.match(name)}


def copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755)
    subprocess.run(["strip", "--strip-unneeded", str(target)], check=True)


def carry_peer(peer, directory, folder, replaced):
    """`replaced`: {name of a library: another file}."""
    made = builds.finished(directory, peer)
    if not made:
        raise SystemExit(f"error: no build in {directory}; run bench/peers/builds.py {peer.name}")
    libraries = {Path(name).name: directory / "build" / name for name in (peer.llama, peer.kernels)}
    for name in PROGRAMS[peer.name]:
        copy(peer.binary(directory, name), folder / name)
        libraries |= libraries_of(peer.binary(directory, name))
    for name, path in (libraries | replaced).items():
        copy(path, folder / name)
    stamp = {**made, "binaries": {name: name for name in PROGRAMS[peer.name]}}
    (folder / "build.json").write_text(json.dumps(stamp, indent=2) + "\n")


def amx_library(directory, jobs):
    """llama.cpp's CPU library with AMX code, built beside the native one."""
    tree = directory / "build-amx"
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    options = [o for o in builds.CMAKE_OPTIONS if "NATIVE" not in o] + list(builds.LLAMA_CPP.options) + AMX_OPTIONS
    source = builds.download(builds.LLAMA_CPP, directory)
    subprocess.run(["cmake", "-S", str(source), "-B", str(tree), *generator, *options], check=True, stdout=sys.stderr)
    subprocess.run(["cmake", "--build", str(tree), "-j", str(jobs), "--target", "ggml-cpu"], check=True,
                   stdout=sys.stderr)
    return tree / builds.LLAMA_CPP.kernels


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tern", type=Path, default=compare.ROOT / "build/release/tern", help="default: %(default)s")
    parser.add_argument("--dir", type=Path, default=builds.cache_dir() / "peers", help="default: %(default)s")
    parser.add_argument("--jobs", "-j", type=int, default=os.cpu_count())
    args = parser.parse_args()
    carried = {}
    if "amx_int8" not in Path("/proc/cpuinfo").read_text().split():
        kernels = amx_library(args.dir / "llama.cpp", args.jobs)
        carried = {"libggml-cpu.so": kernels, "libggml-cpu.so.0": kernels}
    carry_peer(builds.LLAMA_CPP, args.dir / "llama.cpp", args.folder / "llama.cpp", carried)
    carry_peer(builds.IK_LLAMA_CPP, args.dir / "ik_llama.cpp", args.folder / "ik_llama.cpp", {})
    copy(args.tern, args.folder / "tern")
    for name, path in libraries_of(args.tern).items():
        copy(path, args.folder / "tern-libraries" / name)
    scripts = args.folder / "peers"
    scripts.mkdir(parents=True, exist_ok=True)
    for script in Path(__file__).parent.glob("*.py"):
        shutil.copy(script, scripts)
    (args.folder / "run.sh").write_text(RUN)
    size = sum(path.stat().st_size for path in args.folder.rglob("*") if path.is_file())
    print(f"{args.folder}: {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
