"""What the kernel tells about processes and their namespaces, read from /proc by the pids of this side."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

_NS_GET_PARENT = 0xB702
_NS_GET_USERNS = 0xB701
_DEEPEST = 33
_LISTEN = "0A"


def pids() -> list[int]:
    """Every process there is."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def ticks(pid: int) -> int | None:
    """When a process started, in the kernel's ticks: with its pid that names one process. None if it is not there."""
    found = _stat(pid)
    return int(found[19]) if found and found[0] not in "ZX" else None


def session(pid: int) -> int:
    """The session a process is in; 0 if it is not there."""
    found = _stat(pid)
    return int(found[3]) if found and found[0] not in "ZX" else 0


def parent(pid: int) -> int:
    """Who started a process, or who took it over; 0 if it is not there."""
    found = _stat(pid)
    return int(found[1]) if found else 0


def inner(pid: int) -> int:
    """The pid of a process as it is called in its own namespace; 0 if it is not there."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[-1]) for line in status.splitlines() if line.startswith("NSpid:")), 0)


def pid_namespace(pid: int) -> int:
    """The number of the pid namespace of a process; 0 if it is not there, or another's."""
    try:
        return Path(f"/proc/{pid}/ns/pid").stat().st_ino
    except OSError:
        return 0


def within(namespace: int) -> list[int]:
    """The processes of a pid namespace and of those below it."""
    own = pid_namespace(os.getpid())
    found = []
    for pid in pids():
        theirs = pid_namespace(pid)
        if theirs == namespace or (theirs not in {0, own} and namespace in _ancestors(pid)):
            found.append(pid)
    return found


def descendants(pid: int) -> list[int]:
    """What a process started, and what that started."""
    parents = {one: parent(one) for one in pids()}
    found: list[int] = []
    last = {pid}
    while last := {one for one, parent in parents.items() if parent in last}:
        found.extend(last)
    return found


def owner_of(descriptor: int) -> int:
    """The user namespace that owns the open namespace `descriptor`, open."""
    return int(fcntl.ioctl(descriptor, _NS_GET_USERNS))


def sockets_in_use(pid: int) -> str:
    """How many TCP sockets there are in the network of the process `pid`, in the kernel's words."""
    found = ""
    for name in ("sockstat", "sockstat6"):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/net/{name}").read_text().splitlines()
            found += "".join(line for line in lines if line.startswith("TCP"))
    return found


def listeners(pid: int) -> dict[int, set[str]]:
    """The sockets that listen in the network of the process `pid`, by port, as /proc calls them."""
    found: dict[int, set[str]] = {}
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN:
                    port = int(fields[1].rpartition(":")[2], 16)
                    found.setdefault(port, set()).add(f"socket:[{fields[9]}]")
    return found


def holds(pid: int, sockets: set[str]) -> bool:
    """Whether a process has one of these sockets open."""
    try:
        opened = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
    for one in opened:
        with contextlib.suppress(OSError):
            if str(one.readlink()) in sockets:
                return True
    return False


def _ancestors(pid: int) -> Iterator[int]:
    """The pid namespaces above the one of `pid`, nearest first, as far as this process may know."""
    try:
        descriptor = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        for _ in range(_DEEPEST):
            above = int(fcntl.ioctl(descriptor, _NS_GET_PARENT))
            os.close(descriptor)
            descriptor = above
            yield os.fstat(descriptor).st_ino
    except OSError:
        return
    finally:
        os.close(descriptor)


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []
