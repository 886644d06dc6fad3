"""What a lab writes down about itself, so that any process can find it again: `runs/<run id>/lab.json`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from operatorlab import home
from operatorlab.deploy.confined import Confined
from operatorlab.deploy.kin import alive
from operatorlab.errors import BadParameter, EnvironmentTrouble, NotWritable, UnknownName
from operatorlab.registry import locator
from operatorlab.subject import COMPOSE, PROCESSES, Subject

FILE = "lab.json"


class LabState(StrEnum):
    """How far a lab has come."""

    STARTING = "starting"
    UP = "up"
    DOWN = "down"


class LabRecord(BaseModel):
    """One lab. `ports` are loopback ports by name; `*_started` are seconds since the epoch.

    What belongs to one kind of deployment alone is None in a lab of the other kind.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    subject: str
    """The subject's name."""
    source: str
    """What finds the subject again: its name, or the path it came from."""
    deployment: str = PROCESSES
    folder: Path
    state: LabState
    keep: bool
    """Whether the lab outlives who brought it up."""
    ports: dict[str, int]
    created_at: datetime
    ended_at: datetime | None = None
    owner_pid: int
    owner_started: float
    socket: Path | None = None
    """`processes`: where the supervisor listens."""
    supervisor_pid: int | None = None
    supervisor_started: float | None = None
    confined: Confined | None = None
    """`processes`: the boundary around it; None if it has none."""
    docker: str | None = None
    """`compose`: where the Docker daemon listens."""
    subnets: dict[str, str] = {}
    """`compose`: the lab's networks, by name, as CIDR."""

    @property
    def root(self) -> Path:
        """The operator's folder: `etc/`, `data/`, `log/`, `bin/`."""
        return self.folder / "system"

    @property
    def outside(self) -> Path:
        """The operator's folder as it is reached on this machine: inside the boundary, if there is one."""
        inside = self.confined and self.confined.init_pid
        return Path(f"/proc/{inside}/root/lab") if inside else self.root

    @property
    def within(self) -> str:
        """What holds an operator of this lab in, in a few words."""
        if self.deployment == COMPOSE:
            return "in containers"
        return "in namespaces of its own" if self.confined else "without a boundary"

    @property
    def control(self) -> Path:
        """Where the supervisor of a lab of processes listens."""
        assert self.socket is not None, f"{self.run_id} is no lab of processes"
        return self.socket

    @property
    def owner_alive(self) -> bool:
        """Whether the process that brought the lab up still lives."""
        return alive(self.owner_pid, self.owner_started)

    @property
    def running(self) -> bool:
        """Whether the lab's supervisor lives; containers are taken to run until they were taken down."""
        if self.deployment == COMPOSE:
            return self.state is LabState.UP
        there = self.confined.alive if self.confined else True
        return there and alive(self.supervisor_pid, self.supervisor_started)

    @property
    def dead(self) -> bool:
        """Whether nobody will ever take this lab down: its owner is gone, and it was not to be kept, or never came up.

        A lab from before the machine started is dead in any case.
        """
        if self.state is LabState.DOWN:
            return False
        before_boot = self.created_at.timestamp() < psutil.boot_time()
        meant_to_stay = self.keep and self.state is LabState.UP
        return before_boot or (not meant_to_stay and not self.owner_alive)

    def save(self) -> LabRecord:
        """Write it, all or nothing; NotWritable if that cannot be done."""
        path = self.folder / FILE
        fresh = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            fresh.write_text(self.model_dump_json(indent=2) + "\n")
            fresh.replace(path)
        except OSError as trouble:
            raise NotWritable(f"cannot write {path}: {trouble.strerror}") from trouble
        return self

    def changed(self, **fields: object) -> LabRecord:
        """A copy with other values, already saved."""
        return self.model_copy(update=fields).save()


def owner() -> tuple[int, float]:
    """This process: its pid and when it started."""
    return os.getpid(), psutil.Process().create_time()


def begin_record(subject: Subject, deployment: str, run_id: str | None, *, keep: bool) -> LabRecord:
    """The record of a lab that is about to be brought up; BadParameter if the run id cannot be used."""
    run_id = run_id or home.new_run_id(subject.name)
    if Path(run_id).name != run_id or run_id.startswith("."):
        raise BadParameter(f"{run_id!r} cannot be a run id; it names a folder")
    folder = home.make_folder(home.runs() / run_id)
    if (folder / FILE).exists():
        raise BadParameter(f"there is a lab {run_id} already", next_step=f"operatorlab down {run_id}")
    pid, started = owner()
    return LabRecord(
        run_id=run_id,
        subject=subject.name,
        source=locator(subject),
        deployment=deployment,
        folder=folder,
        state=LabState.STARTING,
        keep=keep,
        ports={},
        created_at=datetime.now(UTC),
        owner_pid=pid,
        owner_started=started,
    ).save()


def read_records() -> list[LabRecord]:
    """Every lab that left a record, oldest first."""
    found = [_read(path) for path in sorted(home.runs().glob(f"*/{FILE}"))]
    return sorted((record for record in found if record), key=lambda record: record.created_at)


def read_record(run_id: str) -> LabRecord:
    """The lab `run_id`; UnknownName if there is none."""
    path = home.runs() / run_id / FILE
    record = _read(path) if run_id and Path(run_id).name == run_id else None
    if record is None:
        known = [other.run_id for other in read_records()]
        raise UnknownName("lab", run_id, known, next_step="operatorlab status")
    return record


def _read(path: Path) -> LabRecord | None:
    try:
        return LabRecord.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):  # taken down by someone else meanwhile
        return None
    except (OSError, ValidationError) as trouble:
        raise EnvironmentTrouble(
            f"cannot read {path}: {trouble}",
            cause="the file was edited, or written by another version",
            next_step=f"end its processes by hand and remove {path.parent}",
        ) from trouble
