"""Members that are made anew with other variables than they came up with, and what they were made with.

Compose makes them, from one file more than usual, so that a container carries the labels of its making: a plain
`docker compose up` of an operator, who does not have that file, sees that it is not as declared and puts it right.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from operatorlab.deploy.compose import bringing
from operatorlab.deploy.system import write_text

if TYPE_CHECKING:
    from operatorlab.deploy.compose.deployment import ComposeDeployment


class Rollouts:
    """Of one lab."""

    def __init__(self, deployment: ComposeDeployment) -> None:
        self._lab = deployment

    async def roll_out(self, member: str, environment: Mapping[str, str]) -> None:
        """Make its container anew with these variables besides those it came up with. It is not waited for."""
        over = [await asyncio.to_thread(self._write, member, environment)] if environment else []
        compose = bringing.compose_of(self._lab.stack, self._lab.record, *over)
        await self._lab.containers.resume(member)  # a frozen one does not end
        await compose("up", "-d", "--no-build", "--no-deps", "--force-recreate", member)

    def _write(self, member: str, environment: Mapping[str, str]) -> Path:
        """The file. Each member has its own: several may be rolled out at a time."""
        told = {name: value.replace("$", "$$") for name, value in environment.items()}
        file = self._lab.folder / "rollouts" / f"{member}.json"
        write_text(file, json.dumps({"services": {member: {"environment": told}}}, indent=2) + "\n")
        return file
