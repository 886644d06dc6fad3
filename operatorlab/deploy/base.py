"""What every kind of deployment offers the lab, beyond what observers and faults may use of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from operatorlab.deploy.records import LabRecord
from operatorlab.sandbox import Mode, Sandbox
from operatorlab.subject import Deployment, Subject

Progress = Callable[[str], None]
"""Told each step of coming up, in one line."""


def quietly(_: str) -> None:
    """A `Progress` that tells nobody."""


class LabDeployment(Deployment, Protocol):
    """A subject that was brought up, for whoever runs the lab."""

    @property
    def subject(self) -> Subject: ...

    @property
    def record(self) -> LabRecord: ...

    @property
    def folder(self) -> Path:
        """The lab's own folder, `runs/<run id>`; no operator can see it."""
        ...

    @property
    def logs(self) -> str:
        """Where a person finds the logs: a folder or a command."""
        ...

    def pages(self) -> Mapping[str, str]:
        """What people may want to open in a browser: its name and its address."""
        ...

    def environment(self) -> dict[str, str]:
        """The environment of the lab's own programs on this machine, such as its clients: small, without keys."""
        ...

    def sandbox(self, audit: Path, mode: Mode = Mode.OPERATE) -> AbstractAsyncContextManager[Sandbox]:
        """Where an operator's commands run. What its boundary decides goes into the audit file `audit`.

        BadParameter if the deployment cannot enforce `mode`.
        """
        ...

    async def reset(self, *, spare: Collection[int] = ()) -> None:
        """Make the subject as new; processes of the lab on this machine end, but for the pids in `spare`."""
        ...

    async def down(self) -> None:
        """End everything. Repeating it does no harm."""
        ...
