"""How much of the machine a lab inside its boundary may use: by control groups where they can be had, and by limits
that every process of it inherits.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import psutil

PROCESSES = 512
FILES = 4096
FILE_BYTES = 512 << 20
LAB_BYTES, TMP_BYTES, SHM_BYTES, RUN_BYTES = 512 << 20, 64 << 20, 64 << 20, 1 << 20
_MEMORY = 3 << 30
_SHARES = 4096  # of the processor: as much as four busy processes, however many there are
_ROOT = Path("/sys/fs/cgroup")
_GONE_WITHIN_S = 3.0
_KEYCTL = {"x86_64": 250, "aarch64": 219}
# Joins the groups before `--` and becomes the first to go when memory runs out, then becomes the rest.
_JOIN = (
    'while [ "$1" != -- ]; do echo $$ > "$1" || exit 125; shift; done; shift; '
    'echo 1000 > /proc/self/oom_score_adj; exec "$@"'
)


def memory() -> int:
    """Bytes that a lab may use in all: half of the machine at most."""
    return min(_MEMORY, psutil.virtual_memory().total // 2)


def joining(groups: Iterable[Path], argv: Sequence[str]) -> list[str]:
    """`argv`, started in these groups, each of which must exist, and without the keys of whoever starts it."""
    procs = (str(group / "cgroup.procs") for group in groups)
    return ["/bin/sh", "-c", _JOIN, "sh", *procs, "--", *keyless(), *argv]


@functools.cache
def keyless() -> tuple[str, ...]:
    """What a command is run with so that it has a session keyring of its own: it would inherit this one."""
    number = _KEYCTL.get(platform.machine())
    if number is None:
        return ()
    if perl := shutil.which("perl"):  # starts in a fraction of the time
        return (perl, "-e", f"syscall({number}, 1, 0); exec {{$ARGV[0]}} @ARGV; exit 126")
    code = f"import ctypes, os, sys; ctypes.CDLL(None).syscall({number}, 1, None); os.execv(sys.argv[1], sys.argv[1:])"
    return (sys.executable, "-I", "-S", "-c", code)


def limited(argv: Sequence[str], *, grouped: bool) -> list[str]:
    """`argv` with the limits that its children inherit; without a group, each process is held by itself."""
    sizes = [f"--core={0}", f"--nproc={PROCESSES}", f"--nofile={FILES}", f"--fsize={FILE_BYTES}"]
    return ["/usr/bin/prlimit", *sizes, *([] if grouped else [f"--as={memory()}"]), "--", *argv]


def plan_groups(name: str) -> tuple[Path, ...]:
    """The groups that a lab can have on this machine, below the one this process is in; none are made yet."""
    return tuple(parent / name for parent in _parents())


def make_groups(groups: Iterable[Path]) -> None:
    """Make groups, with their limits. OSError if that cannot be done."""
    for group in groups:
        group.mkdir(exist_ok=True)
        for name, value in (
            ("memory.limit_in_bytes", memory()),
            ("memory.max", memory()),
            ("memory.swap.max", 0),
            ("pids.max", PROCESSES),
            ("cpu.shares", _SHARES),
            ("cpu.weight", _SHARES * 100 // 1024),
        ):
            if (group / name).exists():
                (group / name).write_text(f"{value}\n")


@contextlib.contextmanager
def no_forks(groups: Iterable[Path]) -> Iterator[None]:
    """Meanwhile nothing in these groups can start a process."""
    limits = [group / "pids.max" for group in groups if (group / "pids.max").exists()]
    try:
        for limit in limits:
            limit.write_text("0\n")
        yield
    finally:
        for limit in limits:
            with contextlib.suppress(FileNotFoundError):  # ended, and removed, by another process
                limit.write_text(f"{PROCESSES}\n")


def remove_groups(groups: Iterable[Path]) -> None:
    """Remove groups whose processes have been killed. One that is not empty in time stays."""
    until = time.monotonic() + _GONE_WITHIN_S
    for group in groups:
        while group.exists() and time.monotonic() < until:
            with contextlib.suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.005)


def _parents() -> list[Path]:
    """Where groups for memory and for processes can be made: version 1 has a tree for each, version 2 one for both."""
    try:
        own = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    except OSError:
        return []
    found = [_ROOT / name / path.lstrip("/") for _, names, path in own for name in names.split(",") if name in _V1]
    if not found:
        here = next((_ROOT / path.lstrip("/") for _, names, path in own if not names), _ROOT)
        found = [folder for folder in (here, *here.parents) if _controls(folder)][:1]
    return [folder for folder in found if os.access(folder, os.W_OK)]


_V1 = ("memory", "pids", "cpu")


def _controls(folder: Path) -> bool:
    try:
        return {"memory", "pids"} <= set((folder / "cgroup.subtree_control").read_text().split())
    except OSError:
        return False
