"""Docker Compose's own command: `docker compose` where there is one, else `docker-compose`."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from operatorlab.deploy.base import Progress, quietly
from operatorlab.errors import DockerTrouble, MissingProgram

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_RUNTIME_DIR", "DOCKER_CONFIG")
_KEPT_LINES = 30


@functools.cache
def compose_command() -> tuple[str, ...]:
    """How to call Compose on this machine; MissingProgram if it is not there."""
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0:
        return (docker, "compose")
    if alone := shutil.which("docker-compose"):
        return (alone,)
    raise MissingProgram(
        "Docker Compose is not on this machine: neither `docker compose` nor `docker-compose` runs",
        next_step="install the Compose plugin of Docker, or your system's package docker-compose",
    )


class Compose:
    """Calls for one project: `files` in this order, `variables` for what stands in them, `profiles` that are on."""

    def __init__(
        self, project: str, files: Sequence[Path], host: str, variables: Mapping[str, str], profiles: Sequence[str] = ()
    ) -> None:
        self._project = project
        self._files = tuple(files)
        self._profiles = tuple(profiles)
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        self._environment = {**passed_on, **variables, "DOCKER_HOST": host, "COMPOSE_PROJECT_NAME": project}

    async def __call__(self, *words: str, progress: Progress = quietly) -> None:
        """Run a compose command; DockerTrouble with its last lines if it fails. Cancelling ends it."""
        files = [word for file in self._files for word in ("-f", str(file))]
        profiles = [word for profile in self._profiles for word in ("--profile", profile)]
        argv = [*compose_command(), "-p", self._project, *files, *profiles, *words]
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self._files[0].parent,
            env=self._environment,
            start_new_session=True,
        )
        try:
            told = await self._follow(process, progress)
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if code != 0:
            last = "\n".join(told[-_KEPT_LINES:])
            raise DockerTrouble(f"docker compose {words[0]} failed with code {code}:\n{last}")

    async def _follow(self, process: asyncio.subprocess.Process, progress: Progress) -> list[str]:
        assert process.stdout is not None
        told: list[str] = []
        async for raw in process.stdout:
            line = raw.decode(errors="replace").strip()
            if line:
                told = [*told[-_KEPT_LINES:], line]
                progress(line)
        return told
