"""What stands in a lab of processes: what supervisord runs, what runs besides, and the files of the operator's folder.

Members and links are known from the blueprint, files by the names the blueprint gives them.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import xmlrpc.client
from collections.abc import Collection, Iterator, Mapping
from hashlib import sha256
from pathlib import PurePath

import psutil

from eval.evidence import Item
from operatorlab.deploy.beneath import Beneath
from operatorlab.deploy.enclosing import keepers
from operatorlab.deploy.kin import is_alive, kin
from operatorlab.deploy.processes import ProcessDeployment
from operatorlab.deploy.supervisor import Supervisor
from operatorlab.deploy.system import link_applied
from operatorlab.subject import Subject

_MOST_FILES, _DEEPEST = 500, 8
_ROTATED = re.compile(r"log/[^/]+\.log\.\d+")


async def standing(deployment: ProcessDeployment, spare: Collection[int] = ()) -> dict[str, Item]:
    """Processes and files, by name; processes with pids in `spare` are none of the lab's own."""
    owners = _Owners(deployment.subject, deployment)
    processes = await _processes(deployment, owners, spare)
    return {**processes, **await asyncio.to_thread(_files, deployment.place.files, owners)}


class _Owners:
    """Which component a process or a file belongs to, by the names the blueprint gives them."""

    def __init__(self, subject: Subject, deployment: ProcessDeployment) -> None:
        links = subject.blueprint(deployment.site).links
        self._names = {member.name: member.name for member in subject.members}
        self._names |= {f"link-{link.source}": link.source for link in links}
        self.applied = {link_applied(link) for link in links}

    def of(self, name: str) -> str:
        """The owner of what is called `name`, such as `node-1-redis`; empty if nobody owns it."""
        fitting = [known for known in self._names if name == known or name.startswith((f"{known}-", f"{known}."))]
        return self._names[max(fitting, key=len)] if fitting else ""


# ── processes ──────────────────────────────────────────────────────────────────────────────────


async def _processes(deployment: ProcessDeployment, owners: _Owners, spare: Collection[int]) -> dict[str, Item]:
    """What supervisord runs, by name, and what runs besides, by its command line."""
    supervised = await _supervised(deployment)
    items = {f"process/{name}": Item(owner=owners.of(name), value=_standing(pid)) for name, pid in supervised.items()}
    record = deployment.record
    known = {*supervised.values(), *spare, *_holding(deployment), record.supervisor_pid}
    for process in await asyncio.to_thread(kin, record):
        if process.pid not in known and is_alive(process):
            with contextlib.suppress(psutil.Error):
                items[f"stray/{' '.join(process.cmdline())[:200]}"] = Item(owner="", value=_standing(process.pid))
    return items


async def _supervised(deployment: ProcessDeployment) -> Mapping[str, int]:
    """The pids of what supervisord runs, 0 for what is stopped; empty if it does not answer."""
    try:
        listed = await Supervisor(deployment.place).call("getAllProcessInfo")
        return {str(one["name"]): deployment.place.pid(int(one["pid"])) for one in listed}
    except (OSError, xmlrpc.client.Error, TypeError, LookupError):
        return {}


def _holding(deployment: ProcessDeployment) -> set[int]:
    """The processes that make up the boundary."""
    confined = deployment.record.confined
    return keepers(confined) if confined else set()


def _standing(pid: int) -> str:
    """How a process stands and which one it is: another pid or start is another process."""
    try:
        process = psutil.Process(pid) if pid else None
        if process is None or not is_alive(process):
            return "stopped"
        stopped = process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
        return f"{'paused' if stopped else 'running'} {pid}@{process.create_time():.2f}"
    except psutil.Error:
        return "stopped"


# ── files ──────────────────────────────────────────────────────────────────────────────────────


def _files(files: Beneath, owners: _Owners) -> dict[str, Item]:
    """The plain files of the folder by the hash of their content; of logs only that they are there."""
    items: dict[str, Item] = {}
    for path in _walk(files, PurePath(), 0):
        if len(items) >= _MOST_FILES:
            break
        if _ROTATED.fullmatch(str(path)):  # by supervisord: how much there was to log is nobody's doing
            continue
        owner = owners.of(path.parent.name) or owners.of(path.name)
        items[f"file/{path}"] = Item(owner=owner, value=_content(files.read(path), path, owners))
    return items


def _content(text: str, path: PurePath, owners: _Owners) -> str:
    """What stands for the content of a file: of a log that there is one, of a link's rules all but who applied them."""
    if path.parts[0] == "log":
        return "a log"
    if path in owners.applied:
        text = re.sub(r', "pid": \d+', "", text)
    return sha256(text.encode()).hexdigest()[:16]


def _walk(files: Beneath, folder: PurePath, depth: int) -> Iterator[PurePath]:
    for name in files.names(folder):
        path = folder / name
        if files.is_file(path):
            yield path
        elif depth < _DEEPEST:
            yield from _walk(files, path, depth + 1)
