#!/usr/bin/env python3
"""Build the peers natively, to compare with: llama.cpp and ik_llama.cpp.

    python3 bench/peers/builds.py [llama.cpp] [ik_llama.cpp] [-j 2]

The sources are the copies vendored in the source distributions of the Python
packages llama-cpp-python and ik-llama-cpp-python, fetched with pip. They are
built for this machine (GGML_NATIVE), on the CPU only, with their makers'
defaults otherwise. A second call finds the finished builds and only prints the
paths. A build that leaves a vector unit of this machine unused is an error: what
is measured against it would mean nothing.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

CMAKE_OPTIONS = ["-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON", "-DGGML_NATIVE=ON", "-DGGML_CUDA=OFF",
                 "-DLLAMA_BUILD_TESTS=OFF"]


@dataclass(frozen=True)
class Peer:
    name: str
    package: str
    version: str
    targets: tuple  # programs
    options: tuple  # for CMake, beside CMAKE_OPTIONS
    kernels: str  # the library with its products, below the build folder
    llama: str  # the library that says what the build uses
    supplied: tuple = ()  # (path, text): files of its build that the source distribution lacks
    mended: tuple = ()  # (path, line, line before it): for what a compiler makes of it

    def source(self, directory):
        folder = f"{self.package.replace('-', '_')}-{self.version}"
        return Path(directory).resolve() / folder / "vendor" / self.name

    def binary(self, directory, name):
        return Path(directory).resolve() / "build" / "bin" / name


LLAMA_CPP = Peer(
    "llama.cpp", "llama-cpp-python", "0.3.36",
    ("llama-bench", "llama-batched-bench", "llama-cli", "llama-completion", "llama-perplexity", "llama-quantize",
     "llama-server", "llama-tokenize"),
    ("-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_APP=OFF", "-DLLAMA_USE_PREBUILT_UI=OFF",
     "-DLLAMA_BUILD_NUMBER=0"),
    "bin/libggml-cpu.so", "bin/libllama.so",
    # g++ 12's _tile_loadconfig claims to read 8 of the 64 bytes, so -O3 drops the stores of the others, and the first
    # product on tiles is an illegal instruction.
    mended=(("ggml/src/ggml-cpu/amx/mmq.cpp", "    _tile_loadconfig(&tc);\n",
             '    asm volatile("" : : "r"(&tc) : "memory");\n'),))
# Without FA_ALL_QUANTS only attention over 4-bit caches is left out, which nothing here uses: it halves the build.
IK_LLAMA_CPP = Peer(
    "ik_llama.cpp", "ik-llama-cpp-python", "0.1.5",
    ("llama-bench", "llama-batched-bench", "llama-perplexity", "llama-quantize", "llama-cli"),
    ("-DLLAMA_CURL=OFF", "-DLLAMA_BUILD_SERVER=OFF", "-DGGML_IQK_FA_ALL_QUANTS=OFF"),
    "ggml/src/libggml.so", "src/libllama.so",
    (("common/cmake/build-info-gen-cpp.cmake",
      'set(BUILD_NUMBER 0)\nset(BUILD_COMMIT "of the source distribution")\nset(BUILD_COMPILER unstated)\n'
      "set(BUILD_TARGET unstated)\nconfigure_file(common/build-info.cpp.in common/build-info.cpp)\n"),))
PEERS = {peer.name: peer for peer in (LLAMA_CPP, IK_LLAMA_CPP)}


def cache_dir():
    return Path(os.environ.get("TERN_CACHE") or Path.home() / ".cache" / "tern")


def default_dir(peer=LLAMA_CPP):
    return cache_dir() / "peers" / peer.name


def download(peer, directory):
    """Fetch and unpack the source distribution; return the peer's folder in it."""
    source = peer.source(directory)
    root = source.parents[1]
    if (root / "unpacked").exists():
        return source
    sdist = directory / f"{root.name}.tar.gz"
    if not sdist.exists():
        subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", f"--no-binary={peer.package}",
                        "-d", str(directory), f"{peer.package}=={peer.version}"], check=True, stdout=sys.stderr)
    with tarfile.open(sdist) as tar:
        tar.extractall(directory, filter="data")
    for name, text in peer.supplied:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    for name, line, before in peer.mended:
        text = (source / name).read_text()
        if text.count(line) != 1:
            raise SystemExit(f"error: {name} of {peer.name} {peer.version} is not as expected: {line.strip()}")
        (source / name).write_text(text.replace(line, before + line))
    (root / "unpacked").touch()
    return source


def source_commit(source):
    """The commit that the source distribution records, if it does."""
    head = source.parents[1] / ".git" / "modules" / "vendor" / source.name / "HEAD"
    return head.read_text().strip()[:9] if head.exists() else ""


def system_info(library):
    """What a built library says of the machine, and so what it will use."""
    ask = ("import ctypes, sys; call = ctypes.CDLL(sys.argv[1]).llama_print_system_info; "
           "call.restype = ctypes.c_char_p; print(call().decode())")
    environment = {**os.environ, "LD_LIBRARY_PATH": str(Path(library).parent)}
    done = subprocess.run([sys.executable, "-c", ask, str(library)], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: {library} does not load: {done.stderr.strip()[-500:]}")
    return done.stdout.strip()


def count_vnni(code):
    """How many vpdpbusd of 512 bits are in machine code: an EVEX prefix of map 0F38, 66, W0, 512 bits, opcode 50."""
    first = bytes(b for b in range(256) if b & 7 == 2)
    second = bytes(b for b in range(256) if b & 0x87 == 5)
    third = bytes(b for b in range(256) if b & 0x60 == 0x40)
    groups = (b"[" + b"".join(re.escape(bytes([b])) for b in group) + b"]" for group in (first, second, third))
    return len(re.findall(b"\x62" + b"".join(groups) + b"\x50", code, re.S))


def check_vector_units(info, kernels, flags=None):
    """Fail where the CPU has an AVX-512 or AMX unit that the build does not use."""
    flags = set(Path("/proc/cpuinfo").read_text().split()) if flags is None else flags
    for flag in ("avx512_vnni", "avx512_bf16"):
        if flag in flags and f"{flag.upper()} = 1" not in info:
            raise SystemExit(f"error: the CPU has {flag} but {kernels} does not use it, no comparison: {info}")
    if "amx_int8" in flags and "libggml-cpu" in Path(kernels).name and "AMX_INT8 = 1" not in info:
        raise SystemExit(f"error: the CPU has amx_int8 but {kernels} does not use it, no comparison: {info}")
    if "avx512_vnni" in flags and count_vnni(Path(kernels).read_bytes()) < 50:
        raise SystemExit(f"error: there is no AVX-512 VNNI code in {kernels}, no comparison")


def finished(directory, peer=LLAMA_CPP):
    """The description of a finished build of this version, or None. Programs are kept by their paths below `directory`,
    so that the folder may have been made elsewhere (carry.py)."""
    directory = Path(directory).resolve()
    stamp = directory / "build.json"
    if stamp.exists():
        made = json.loads(stamp.read_text())
        made["binaries"] = {name: str(directory / path) for name, path in made["binaries"].items()}
        if made["version"] == peer.version and all(Path(p).exists() for p in made["binaries"].values()):
            return made
    return None


def build(peer, directory, jobs=os.cpu_count()):
    """Build once; return a description with the path of every program."""
    made = finished(directory, peer)
    if made:
        return made
    directory = Path(directory).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    source, tree = download(peer, directory), directory / "build"
    commit = source_commit(source)
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    stated = [f"-DLLAMA_BUILD_COMMIT={commit}"] if commit else []
    subprocess.run(["cmake", "-S", str(source), "-B", str(tree), *generator, *CMAKE_OPTIONS, *peer.options, *stated],
                   check=True, stdout=sys.stderr)
    subprocess.run(["cmake", "--build", str(tree), "-j", str(jobs), "--target", *peer.targets],
                   check=True, stdout=sys.stderr)
    info = system_info(tree / peer.llama)
    check_vector_units(info, tree / peer.kernels)
    made = {
        "version": peer.version,
        "commit": commit or "of an unstated commit",
        "system_info": info,
        "binaries": {name: str(peer.binary(directory, name).relative_to(directory)) for name in peer.targets},
    }
    (directory / "build.json").write_text(json.dumps(made, indent=2) + "\n")
    return finished(directory, peer)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"of {', '.join(PEERS)} (default: all)")
    parser.add_argument("--dir", type=Path, default=cache_dir() / "peers", help="default: %(default)s")
    parser.add_argument("--jobs", "-j", type=int, default=os.cpu_count())
    args = parser.parse_args()
    if unknown := set(args.peers) - set(PEERS):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    for name in args.peers or PEERS:
        made = build(PEERS[name], args.dir / name, args.jobs)
        print(f"{name} {made['commit']} ({PEERS[name].package} {made['version']})")
        print(f"system_info: {made['system_info']}")
        print("\n".join(made["binaries"].values()))


if __name__ == "__main__":
    main()
