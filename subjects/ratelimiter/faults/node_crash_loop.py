"""A sign in what a node is told makes no sense: whenever it is started, it dies."""

from __future__ import annotations

import json
from types import MappingProxyType

from operatorlab.subject import FaultKind, GroundTruth
from subjects.ratelimiter.faults.on_configuration import ConfigurationFault
from subjects.ratelimiter.service.config import variable


class NodeCrashLoop(ConfigurationFault):
    name = "node_crash_loop"
    summary = "a node's configuration has a sign that makes no sense, and it dies whenever it is started"
    kind = FaultKind.MISCONFIGURATION
    expected = ("node_down",)
    wrong = MappingProxyType({})
    variables = MappingProxyType({variable("redis_port"): "6379;"})
    lives = False

    def truth(self) -> GroundTruth:
        """Nothing keeps it from running but a sign in what it is told."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"a semicolon in {self.told_by} makes no sense: the file is no JSON, the variable no number",
            causal_path=(
                f"a semicolon came into {self.told_by}",
                f"{self.target} was started anew, could not read it and ended with code 2",
                f"nothing listens on the port of {self.target}",
            ),
        )

    @property
    def mending(self) -> str:
        """Mend the line, as the log says."""
        return f"sed -i 's/;$/,/' {self.path}"

    def spoilt(self, text: str) -> str:
        """With a semicolon where a comma should be, at the end of a line."""
        return text.replace(",", ";", 1)

    def is_spoilt(self, text: str) -> bool:
        """Whether it is no JSON."""
        try:
            json.loads(text)
        except ValueError:
            return True
        return False
