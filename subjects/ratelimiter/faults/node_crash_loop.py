"""A node's configuration file has a broken line: whenever it is started, it dies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json
from subjects.ratelimiter.faults.fixing import start
from subjects.ratelimiter.faults.on_configuration import ConfigurationFault


class NodeCrashLoop(ConfigurationFault):
    name = "node_crash_loop"
    summary = "a node's configuration has a broken line, and it dies whenever it is started"
    kind = FaultKind.MISCONFIGURATION
    expected = ("node_down",)
    wrong = MappingProxyType({})

    def truth(self) -> GroundTruth:
        """Nothing keeps it from running but a sign in a file."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"{self.path} is no JSON: a semicolon ends a line where a comma should",
            causal_path=(
                f"a line of {self.path} was broken",
                f"{self.target} was started anew, could not read it and ended with code 2",
                f"nothing listens on the port of {self.target}",
            ),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Break the line, end the node, and let it try to start."""
        before = await self.read(deployment)
        await self.write(deployment, before.replace(",", ";", 1))
        await deployment.stop(self.target)
        await deployment.run(self.target, "supervisorctl", "start", self.target)
        return {"before": before}

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether the file cannot be read."""
        try:
            json.loads(await self.read(deployment))
        except ValueError:
            return True
        return False

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Mend the line, as the log says, and start it."""
        return (f"sed -i 's/;$/,/' {self.path}", start(deployment, self.target))
