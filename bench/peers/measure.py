"""Running one program to measure it: its time, its peak memory, and whether the machine was free meanwhile."""

import ctypes
import hashlib
import mmap
import os
import re
import shlex
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import compare

BUSY = compare.BUSY
LIMIT_LOSS = 0.10  # of the read limit, beyond which a run is void

# Read limits in GB/s at two threads that were seen on kinds of machines before, by vendor and family of the CPU.
SEEN_BEFORE = {
    "AuthenticAMD 25": {"read": 36},  # Zen 4
    "AuthenticAMD 26": {"read": 49},  # Zen 5
}


@dataclass(frozen=True)
class Ran:
    output: str  # stdout
    errors: str  # stderr
    seconds: float
    peak_bytes: int
    others: float  # CPU seconds that other processes used meanwhile, stolen time included


class Failed(Exception):
    """A program that could not do what it was asked; the text says which and why."""


def run(command, environment=None, timeout=1800):
    """Run to the end, measured."""
    busy, start = compare.cpu_seconds() - compare.own_seconds(), time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                       cwd=tempfile.gettempdir(),  # some write a log where they stand
                                       env={**os.environ, **(environment or {})})
        except OSError as error:
            raise Failed(f"{Path(command[0]).name}: {error.strerror}") from None
        code, usage = wait(process, timeout)
        seconds = time.monotonic() - start
        others = compare.cpu_seconds() - compare.own_seconds() - busy
        for stream in (out, err):
            stream.seek(0)
        output, errors = (stream.read().decode(errors="replace") for stream in (out, err))
    if code:
        last = (errors.strip() or output.strip()).splitlines()[-1:] or ["no output"]
        raise Failed(f"{shlex.join([Path(command[0]).name, *command[1:]])}: ended with {code}: {last[0][:300]}")
    return Ran(output, errors, seconds, usage.ru_maxrss * 1024, max(0.0, others))


def wait(process, timeout):
    """The exit code and the resources used; waits without waking the machine more often than needed."""
    deadline = time.monotonic() + timeout
    pause = 0.0005
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage
        if time.monotonic() > deadline:
            process.kill()
        time.sleep(pause)
        pause = min(pause * 1.1, 0.01)


def cores_of_others(runs):
    """The most cores that others used in one run. Runs too short for the clock's ticks of 10 ms count together."""
    short = [run for run in runs if run.seconds < 1]
    shares = [run.others / run.seconds for run in runs if run.seconds >= 1]
    if short:
        shares.append(sum(run.others for run in short) / max(1, sum(run.seconds for run in short)))
    return max(shares, default=0.0)


def file_mark(path):
    """What tells a file from others wherever it lies, so that results go along with it: name, size, and a digest of the
    first and the last 4 MiB."""
    size, piece = os.path.getsize(path), 4 << 20
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read(piece))
        file.seek(max(0, size - piece))
        digest.update(file.read(piece))
    return Path(path).name, size, digest.hexdigest()


def cached_share(path):
    """How much of a file the page cache holds."""
    size = os.path.getsize(path)
    if not size:
        return 0.0
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE,
                                             mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
        pages = (size + mmap.PAGESIZE - 1) // mmap.PAGESIZE
        present = (ctypes.c_ubyte * pages)()
        handle = ctypes.c_char.from_buffer(mapped)
        libc = ctypes.CDLL(None, use_errno=True)
        failed = libc.mincore(ctypes.c_void_p(ctypes.addressof(handle)), ctypes.c_size_t(size), present)
        del handle
        if failed:
            raise Failed(f"mincore: {os.strerror(ctypes.get_errno())}")
        return sum(page & 1 for page in present) / pages


def forget(path):
    """Drop a file from the page cache, so that the next start reads it from the disk; true if that worked."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return cached_share(path) < 0.01


def warm(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 24):
            pass


def cpu_kind(text=None):
    """Vendor, family and model of the CPU: what the hypervisor's name does not say."""
    text = Path("/proc/cpuinfo").read_text() if text is None else text
    found = {key: re.search(rf"^{key}\s*:\s*(\S+)$", text, re.M) for key in ("vendor_id", "cpu family", "model")}
    return " ".join(match.group(1) if match else "?" for match in found.values())


def read_limit(limits):
    """GB/s: the better of the two read loops."""
    return max(limits.get("read_4k_gbps") or 0, limits.get("read_huge_gbps") or 0)


def better_limits(one, other):
    """{threads: limits}: of two measurements the better of each, since nothing makes a loop too fast."""
    return {threads: {name: max(value, other.get(threads, {}).get(name, value)) for name, value in limits.items()}
            for threads, limits in (one or other).items()}


def limit_complaint(kind, now, earlier):
    """Why a run with these limits is void, or nothing. `now` and `earlier`: {threads: limits}."""
    for threads, limits in now.items():
        read = read_limit(limits)
        best = max((read_limit(old[threads]) for old in earlier if threads in old), default=0)
        known = next((seen for name, seen in SEEN_BEFORE.items() if f"{kind} ".startswith(name + " ")), None)
        if known and threads == "2":
            best = max(best, known["read"])
        if read < (1 - LIMIT_LOSS) * best:
            return f"memory was read at {read:.1f} GB/s with {threads} threads, before at {best:.1f}"
    return ""
