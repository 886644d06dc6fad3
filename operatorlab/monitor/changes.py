"""What is new in an observation, compared with the one before: the audit keeps changes, not every cycle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from operatorlab.monitor.checking import Checked
from operatorlab.subject import Observation

Told = tuple[str, Mapping[str, object]]
"""An event's kind and payload."""


@dataclass(slots=True)
class Changes:
    """Remembers the last observation; `of` yields an event for each difference.

    `observed.node`, `observed.blind`, `observed.sight`, `observed.check_failed`, `observed.check_recovered`.
    """

    _nodes: dict[str, str] = field(default_factory=dict)
    _blind: dict[tuple[str, str], str] = field(default_factory=dict)
    _failed: dict[str, str] = field(default_factory=dict)

    def of(self, observation: Observation, checked: Checked) -> list[Told]:
        """What differs from the last call; the first one tells every member's state."""
        return [*self._of_nodes(observation), *self._of_blindness(observation), *self._of_checks(checked)]

    def _of_nodes(self, observation: Observation) -> Iterator[Told]:
        for node in observation.nodes:
            before = self._nodes.get(node.name)
            if before != node.state:
                self._nodes[node.name] = node.state.value
                yield (
                    "observed.node",
                    {
                        "node": node.name,
                        "role": node.role,
                        "from": before,
                        "to": node.state.value,
                        "reason": node.reason,
                    },
                )

    def _of_blindness(self, observation: Observation) -> Iterator[Told]:
        now = {(blind.what, blind.component): blind.why for blind in observation.blind}
        for (what, component), why in now.items():
            if (what, component) not in self._blind:
                yield "observed.blind", {"what": what, "component": component, "why": why}
        for what, component in self._blind.keys() - now.keys():
            yield "observed.sight", {"what": what, "component": component}
        self._blind = now

    def _of_checks(self, checked: Checked) -> Iterator[Told]:
        now = dict(checked.failed)
        for name, why in now.items():
            if self._failed.get(name) != why:
                yield "observed.check_failed", {"invariant": name, "why": why}
        for name in self._failed.keys() - now.keys():
            yield "observed.check_recovered", {"invariant": name}
        self._failed = now
