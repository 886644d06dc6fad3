"""What faults in a node's configuration have in common: it is told something wrong, and started anew with that.

As a process it is told by its file; its container, whose files cannot be changed, by variables that it is made with.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from operatorlab.subject import PROCESSES, Deployment, Json
from subjects.ratelimiter.faults.on_container import containers
from subjects.ratelimiter.faults.on_member import MemberFault
from subjects.ratelimiter.faults.telling import Telling
from subjects.ratelimiter.faults.telling_by_file import ByFile
from subjects.ratelimiter.faults.telling_by_variables import ByVariables
from subjects.ratelimiter.service.config import variable

_SET = (
    "import json, sys; path, right, wrong = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3]); "
    "now = {k: v for k, v in json.load(open(path)).items() if k not in wrong or k in right}; "
    "open(path, 'w').write(json.dumps({**now, **right}, indent=2) + chr(10))"
)


class ConfigurationFault(MemberFault):
    """A node that runs with settings its owners never wrote."""

    also: ClassVar[tuple[str, ...]] = ("node_down",)  # while it is started anew
    found_within_s = 8.0  # starting it takes a second or two of that
    wrong: ClassVar[Mapping[str, Json]]
    right: ClassVar[Mapping[str, Json]] = MappingProxyType({})  # what the owners wrote of them; else they wrote nothing
    files: ClassVar[Mapping[str, str]] = MappingProxyType({})  # what `wrong` needs besides, by path
    lives = True  # whether a node that is told that comes up

    @property
    def path(self) -> str:
        """The file, in the lab's folder."""
        return f"etc/{self.target}.json"

    @property
    def variables(self) -> Mapping[str, str]:
        """The same as `wrong` for a container."""
        return {
            variable(name): value if isinstance(value, str) else json.dumps(value) for name, value in self.wrong.items()
        }

    @property
    def told_by(self) -> str:
        """What tells the node so, for a ground truth that holds on every deployment."""
        said = ", ".join(f"{name}={value}" for name, value in self.variables.items())
        return f"{self.path} or, in a container, {said}"

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Have it told the wrong settings, and started with them."""
        return await self._telling(deployment).wrongly()

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether it is told so, or runs as it was told so before."""
        return await self._telling(deployment).is_wrong()

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Have it told what it was told before, and have a node run that was told that."""
        await self._telling(deployment).rightly(memo)

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """The same."""
        return self._telling(deployment).fix()

    @property
    def mending(self) -> str:
        """The command that sets the file right."""
        change = shlex.join((self.path, json.dumps(dict(self.right)), json.dumps(dict(self.wrong))))
        return f"python3 -c {shlex.quote(_SET)} {change}"

    def spoilt(self, text: str) -> str:
        """The file as it is when it is wrong."""
        return json.dumps({**json.loads(text), **self.wrong}, indent=2) + "\n"

    def is_spoilt(self, text: str) -> bool:
        """Whether the file is wrong, or what a node says it was told."""
        try:
            told = json.loads(text)
        except ValueError:
            return False
        return (
            bool(self.wrong)
            and isinstance(told, dict)
            and all(told.get(name) == value for name, value in self.wrong.items())
        )

    def _telling(self, deployment: Deployment) -> Telling:
        return ByFile(self, deployment) if deployment.kind == PROCESSES else ByVariables(self, containers(deployment))
