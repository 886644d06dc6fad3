"""Whose guard it is: the lab, and the labels that everything an operator may see carries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
PART = "operatorlab.part"
RUN = "operatorlab.run"


class Lab(BaseModel):
    """Whose guard this is; the rest of its configuration too. It travels as one line of JSON.

    `socket` is where it listens, `docker` the daemon's socket, `session` whose decisions it records.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: str
    run: str
    mode: Literal["operate", "observe"] = "operate"
    socket: Path
    docker: Path = Path("/var/run/docker.sock")
    audit: Path
    templates: Path
    session: str | None = None

    def owns(self, labels: Mapping[str, str] | None) -> bool:
        """Whether a thing with these labels is the operator's to see."""
        return bool(labels) and all((labels or {}).get(name) == value for name, value in self.labels().items())

    def labels(self) -> dict[str, str]:
        """What every container and network carries that the operator may see."""
        return own_labels(self.project, self.run)


def own_labels(project: str, run: str) -> dict[str, str]:
    """The labels of what is the operator's to see in one lab."""
    return {PROJECT: project, PART: "system", RUN: run}
