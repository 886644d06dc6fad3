"""How each service of a lab came up: the measure for what an operator may create or change.

Captured by the harness right after `up`, before any operator is there, and kept in a file out of its reach.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue

from operatorlab.sandbox.guard.daemon import Daemon
from operatorlab.sandbox.guard.lab import SERVICE, own_labels


class Template(BaseModel):
    """One service: its image, its HostConfig as Docker tells it, and the lab's labels on it."""

    model_config = ConfigDict(frozen=True)

    image: str
    image_id: str
    host: dict[str, JsonValue]
    labels: dict[str, str]


class Templates(BaseModel):
    """All services an operator may re-create, by name."""

    model_config = ConfigDict(frozen=True)

    services: dict[str, Template]

    def images(self) -> frozenset[str]:
        """Names and ids of the lab's images."""
        return frozenset(name for each in self.services.values() for name in (each.image, each.image_id))

    def write(self, path: Path) -> None:
        """Keep them at `path`, at once and whole, for the owner only."""
        fresh = path.with_name(f".{path.name}.fresh")
        fresh.write_text(self.model_dump_json())
        fresh.chmod(0o600)
        os.replace(fresh, path)  # noqa: PTH105  atomic, and the name says so

    @classmethod
    def read(cls, path: Path) -> Templates:
        """What `write` kept. FileNotFoundError; ValueError if it is something else."""
        return cls.model_validate_json(path.read_text())


async def capture(project: str, run: str, docker: Path = Path("/var/run/docker.sock")) -> Templates:
    """How the operator's services of a lab are now. Call it right after `up`. Raises DaemonAway."""
    daemon = Daemon(docker)
    services: dict[str, Template] = {}
    for listed in await daemon.containers(own_labels(project, run)):
        found = await daemon.get(f"/containers/{listed['Id']}/json")
        labels = found["Config"]["Labels"]
        services[labels[SERVICE]] = _template(found, labels)
    return Templates(services=services)


def _template(found: dict[str, Any], labels: Mapping[str, str]) -> Template:
    ours = {name: value for name, value in labels.items() if name.startswith("operatorlab.")}
    return Template(image=found["Config"]["Image"], image_id=found["Image"], host=found["HostConfig"], labels=ours)
