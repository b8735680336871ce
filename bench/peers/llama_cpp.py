#!/usr/bin/env python3
"""Build llama.cpp natively, as a peer to compare with.

    python3 bench/peers/llama_cpp.py build [--dir DIR]

The source is the copy vendored in the source distribution of the Python
package llama-cpp-python, fetched with pip. It is built for this machine
(GGML_NATIVE), on the CPU only, with llama.cpp's own defaults otherwise.
A second call finds the finished build and only prints the paths.
"""

import argparse
import ctypes
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

PACKAGE = "llama-cpp-python"
VERSION = "0.3.36"
TARGETS = [
    "llama-bench",
    "llama-batched-bench",
    "llama-cli",
    "llama-completion",
    "llama-perplexity",
    "llama-quantize",
    "llama-server",
    "llama-tokenize",
]
CMAKE_OPTIONS = [
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=ON",
    "-DGGML_NATIVE=ON",
    "-DGGML_CUDA=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
]


def default_dir():
    cache = os.environ.get("TERN_CACHE") or Path.home() / ".cache" / "tern"
    return Path(cache) / "peers" / "llama.cpp"


def binary(directory, name):
    return Path(directory).resolve() / "build" / "bin" / name


def source_dir(directory, version=VERSION):
    name = f"{PACKAGE.replace('-', '_')}-{version}"
    return Path(directory).resolve() / name / "vendor" / "llama.cpp"


def download(directory, version):
    """Fetch and unpack the source distribution; return llama.cpp's folder."""
    source = source_dir(directory, version)
    root = source.parents[1]
    if (root / "unpacked").exists():
        return source
    sdist = directory / f"{root.name}.tar.gz"
    if not sdist.exists():
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--no-deps", f"--no-binary={PACKAGE}",
             "-d", str(directory), f"{PACKAGE}=={version}"],
            check=True, stdout=sys.stderr)
    with tarfile.open(sdist) as tar:
        tar.extractall(directory, filter="data")
    (root / "unpacked").touch()
    return source


def source_commit(source):
    """The llama.cpp commit that the source distribution records, if it does."""
    head = source.parents[1] / ".git" / "modules" / "vendor" / "llama.cpp" / "HEAD"
    return head.read_text().strip()[:9] if head.exists() else "unknown"


def system_info(directory):
    """What the built library says of the machine, and so what it will use."""
    library = ctypes.CDLL(str(binary(directory, "libllama.so")))
    library.llama_print_system_info.restype = ctypes.c_char_p
    return library.llama_print_system_info().decode()


def check_vector_units(info):
    """Fail where the CPU has an AVX-512 unit that the build does not use."""
    flags = set(Path("/proc/cpuinfo").read_text().split())
    for flag in ("avx512_vnni", "avx512_bf16"):
        if flag in flags and f"{flag.upper()} = 1" not in info:
            raise SystemExit(f"error: the CPU has {flag} but the build does not use it: {info}")


def finished(directory, version=VERSION):
    """The description of a finished build of this version, or None."""
    stamp = Path(directory).resolve() / "build.json"
    if stamp.exists():
        made = json.loads(stamp.read_text())
        if made["version"] == version and all(Path(p).exists() for p in made["binaries"].values()):
            return made
    return None


def build(directory, version=VERSION, jobs=os.cpu_count()):
    """Build once; return a description with the path of every program."""
    made = finished(directory, version)
    if made:
        return made
    directory = Path(directory).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    source = download(directory, version)
    commit = source_commit(source)
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    subprocess.run(
        ["cmake", "-S", str(source), "-B", str(directory / "build"), *generator, *CMAKE_OPTIONS,
         "-DLLAMA_BUILD_NUMBER=0", f"-DLLAMA_BUILD_COMMIT={commit}"],
        check=True, stdout=sys.stderr)
    subprocess.run(
        ["cmake", "--build", str(directory / "build"), "-j", str(jobs), "--target", *TARGETS],
        check=True, stdout=sys.stderr)
    info = system_info(directory)
    check_vector_units(info)
    made = {
        "version": version,
        "commit": commit,
        "system_info": info,
        "binaries": {name: str(binary(directory, name)) for name in TARGETS},
    }
    (directory / "build.json").write_text(json.dumps(made, indent=2) + "\n")
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    sub = commands.add_parser("build", help="download and build, once, and print the paths")
    sub.add_argument("--dir", type=Path, default=default_dir(), help="default: %(default)s")
    sub.add_argument("--version", default=VERSION, help=f"of {PACKAGE} (default: %(default)s)")
    sub.add_argument("--jobs", "-j", type=int, default=os.cpu_count())
    args = parser.parse_args()
    made = build(args.dir, args.version, args.jobs)
    print(f"llama.cpp {made['commit']} ({PACKAGE} {made['version']})")
    print(f"system_info: {made['system_info']}")
    for path in made["binaries"].values():
        print(path)


if __name__ == "__main__":
    main()
