"""The boundary around a lab of processes: namespaces that bubblewrap makes, and a user that owns nothing else.

As root the lab gets a user id of its own; otherwise a user namespace in which it is still the user who started
it, and can become nobody else. Either way it has its own processes, mounts, network, IPC and host name, sees a
read-only system and its own folders, which are in memory and of limited size, and can gain no privileges.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import select
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psutil

from operatorlab.deploy import limits, proc
from operatorlab.deploy.children import remember
from operatorlab.deploy.confined import Confined
from operatorlab.errors import BadParameter, EnvironmentTrouble, StartFailed

CHOICE = "OPERATORLAB_BOUNDARY"
LAB, RUN, TMP, SHM = Path("/lab"), Path("/run"), Path("/tmp"), Path("/dev/shm")  # noqa: S108 as seen inside
_USERS = range(2_100_000_000, 2_100_065_536)
_PROGRAMS = {"bwrap": "bubblewrap", "nsenter": "util-linux", "setpriv": "util-linux", "prlimit": "util-linux"}
_START_WITHIN_S = 10.0
_UNSHARED = ("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
_DEVICES = ("--proc", "/proc", "--dev", "/dev")
# Pid 1: outlives whatever an operator ends, and its children are reaped because it ignores their end.
_INIT = ("/bin/sh", "-c", "echo ready; exec /usr/bin/env --ignore-signal=CHLD sleep infinity > /dev/null 2>&1")
_OWN = 'owner=$1; shift; chown "$owner:$owner" /lab /run && exec "$@"'


class Choice(StrEnum):
    """What may be asked for."""

    AUTO = "auto"  # a boundary where this machine allows one
    NONE = "none"
    REQUIRED = "required"


class Kind(StrEnum):
    """What can be had."""

    NONE = "none"
    ROOT = "root"  # a user id of its own
    USER = "user"  # a user namespace


@dataclass(frozen=True, slots=True)
class Allowed:
    """What this machine allows, why, and what would allow more."""

    kind: Kind
    why: str
    next_step: str = ""

    def __str__(self) -> str:
        if self.kind is Kind.NONE:
            return f"no boundary: {self.why}"
        groups = "control groups" if limits.plan_groups("x") else "limits for each process"
        return f"boundary: own namespaces ({self.why}), held by {groups}"


@functools.cache
def detect() -> Allowed:
    """What this machine allows, found out by trying."""
    for program, package in _PROGRAMS.items():
        if shutil.which(program) is None:
            return Allowed(Kind.NONE, f"there is no {program} on this machine", f"install {package}")
    kind = Kind.ROOT if os.getuid() == 0 else Kind.USER
    try:
        owner = free_user() if kind is Kind.ROOT else os.getuid()
        command = build(kind, owner, (), _trial_mounts(), ("/bin/true",))
        done = subprocess.run(command, capture_output=True, text=True, timeout=_START_WITHIN_S, check=False)
    except (OSError, subprocess.SubprocessError) as trouble:
        return Allowed(Kind.NONE, f"namespaces cannot be made: {trouble}")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return Allowed(Kind.NONE, f"this kernel lets {_who(kind)} make no namespaces: {last}", _step(kind))
    return Allowed(kind, "a user id of its own" if kind is Kind.ROOT else "a user namespace")


def chosen(asked: str | None) -> Allowed:
    """What to do for `asked`, by default the environment's choice, else `auto`. EnvironmentTrouble if it cannot be."""
    name = asked or os.environ.get(CHOICE) or Choice.AUTO
    if name not in list(Choice):
        raise BadParameter(f"{name!r} is no boundary; there is {', '.join(Choice)}")
    if name == Choice.NONE:
        return Allowed(Kind.NONE, "none was asked for")
    allowed = detect()
    if name == Choice.REQUIRED and allowed.kind is Kind.NONE:
        raise EnvironmentTrouble(f"there can be no boundary here: {allowed.why}", next_step=allowed.next_step)
    return allowed


def free_user(taken: Collection[int] = ()) -> int:
    """A user id that no process has and that is not in `taken`."""
    used = {*taken}
    for process in psutil.process_iter():
        try:
            used |= set(process.uids())
        except psutil.Error:
            continue
    return random.SystemRandom().choice([uid for uid in _USERS if uid not in used])


def build(
    kind: Kind, owner: int, groups: Sequence[Path], mounts: Sequence[str], argv: Sequence[str], told: int | None = None
) -> list[str]:
    """The command that makes the namespaces and runs `argv` as their first process.

    The pid of that process, as called outside, is written to the descriptor `told`.
    """
    command = [
        shutil.which("bwrap") or "/usr/bin/bwrap",
        *_UNSHARED,
        "--hostname",
        "lab",
        "--as-pid-1",
        "--new-session",
        "--clearenv",
        "--cap-drop",
        "ALL",
    ]
    command += ["--setenv", "PATH", "/usr/bin:/bin", *([] if told is None else ["--info-fd", str(told)])]
    start = limits.limited(dropped(kind, owner, argv), grouped=bool(groups))
    if kind is Kind.ROOT:
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_CHOWN"):
            command += ["--cap-add", capability]
        start = ["/bin/sh", "-c", _OWN, "sh", str(owner), *start]
    else:
        command += ["--unshare-user", "--disable-userns", "--uid", str(owner), "--gid", str(os.getgid())]
    command += [*_DEVICES, *_memory(SHM, limits.SHM_BYTES, "1777"), "--remount-ro", "/dev"]
    command += _memory(TMP, limits.TMP_BYTES, "1777")
    command += [*mounts, *_memory(LAB, limits.LAB_BYTES, "0700"), *_memory(RUN, limits.RUN_BYTES, "0700")]
    return limits.joining(groups, [*command, "--remount-ro", "/", "--chdir", "/", "--", *start])


def dropped(kind: Kind, owner: int, argv: Sequence[str]) -> list[str]:
    """`argv`, as the lab's user, with no privileges and no way to gain any."""
    become = ["--reuid", str(owner), "--regid", str(owner), "--clear-groups"] if kind is Kind.ROOT else []
    return ["/usr/bin/setpriv", *become, "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", *argv]


def begin(confined: Confined, mounts: Sequence[str], environment: Mapping[str, str], errors: Path) -> Confined:
    """Make the namespaces, with nothing in them but their first process. StartFailed if they cannot be made.

    `environment` is of what stays outside and waits for their end; what it complains of goes to `errors`.
    """
    limits.make_groups(confined.groups)
    with contextlib.ExitStack() as stack:
        told = stack.enter_context(tempfile.TemporaryFile())
        files, given = _files(confined.owner, stack)
        command = build(Kind(confined.kind), confined.owner, confined.groups, [*files, *mounts], _INIT, told.fileno())
        child = subprocess.Popen(  # ends when the lab does; found by its environment
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stack.enter_context(errors.open("wb")),
            pass_fds=[told.fileno(), *given], env=dict(environment), start_new_session=True,
        )  # fmt: skip
        remember(child)
        assert child.stdout is not None
        with child.stdout as answer:
            ready = select.select([answer], [], [], _START_WITHIN_S)[0] and answer.readline() == b"ready\n"
        told.seek(0)
        pid = int(json.loads(told.read() or b"{}").get("child-pid", 0))
    ticks = proc.ticks(pid) if pid else None
    if not ready or ticks is None:
        child.kill()
        raise StartFailed(
            f"the namespaces of the lab were not made: {errors.read_text(errors='replace')[-2000:].strip()}",
            next_step=f"bring it up without a boundary: {CHOICE}=none",
        )
    errors.unlink()
    return confined.model_copy(update={"init_pid": pid, "init_ticks": ticks})


def _files(owner: int, stack: contextlib.ExitStack) -> tuple[list[str], list[int]]:
    """What a system has in /etc and must not have of this one: arguments, and the descriptors they name."""
    texts = {
        "passwd": f"root:x:0:0:root:/:/bin/false\noperator:x:{owner}:{owner}:operator:/lab:/bin/bash\n",
        "group": f"root:x:0:\noperator:x:{owner}:\n",
        "hosts": "127.0.0.1 localhost lab\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n",
    }
    arguments = ["--perms", "0755", "--dir", "/etc"]
    given = []
    for name, text in texts.items():
        read_end, write_end = os.pipe()
        stack.callback(os.close, read_end)
        os.write(write_end, text.encode())  # far less than a pipe holds
        os.close(write_end)
        arguments += ["--perms", "0644", "--file", str(read_end), f"/etc/{name}"]
        given.append(read_end)
    return arguments, given


def _memory(path: Path, size: int, mode: str) -> list[str]:
    return ["--size", str(size), "--perms", mode, "--tmpfs", str(path)]


def _trial_mounts() -> list[str]:
    arguments = ["--ro-bind", "/usr", "/usr"]
    for top in (Path("/bin"), Path("/lib"), Path("/lib64"), Path("/sbin")):
        if top.exists():
            arguments += ["--ro-bind", str(top), str(top)]
    return arguments


def _who(kind: Kind) -> str:
    return "root" if kind is Kind.ROOT else "an unprivileged user"


def _step(kind: Kind) -> str:
    if kind is Kind.ROOT:
        return "a container must be started with --privileged, or with the capability SYS_ADMIN and no seccomp filter"
    return "sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0, or run as root"
