"""What several rules need of a history: the members, and a node's counters since it last started."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from operatorlab.subject import Node, NodeState, Observation
from subjects.ratelimiter.observer.readings import NodeCounts, Readings

_LONGEST_READING_S = 0.7


class Run(NamedTuple):
    """A node's counters since it last started, oldest first, and when each was read, in monotonic seconds."""

    counts: Sequence[NodeCounts] = ()
    at: Sequence[float] = ()


def node_members(observation: Observation) -> list[Node]:
    """The members that take requests."""
    return [node for node in observation.nodes if node.role == "node"]


def unwell_nodes(observation: Observation) -> list[Node]:
    """Those of them that are not up: down, unseen, or not ready."""
    return [node for node in observation.unwell if node.role == "node"]


def is_live(node: Node) -> bool:
    """Whether the member answered at all."""
    return node.state in {NodeState.UP, NodeState.DEGRADED}


def ended(observation: Observation) -> float:
    """When a reading ended, in monotonic seconds; one that took longer than any does was held up by its observer."""
    return observation.monotonic + min(observation.duration_s, _LONGEST_READING_S)


def lasting_s(history: Sequence[Observation], holds: Callable[[Observation], bool]) -> float:
    """For how long `holds` was true without a break: from the start of the first such reading to now, in seconds."""
    since = end = ended(history[-1])
    for observation in reversed(history):
        if not holds(observation):
            break
        since = observation.monotonic
    return end - since


class Series:
    """The counters of each node in a history."""

    def __init__(self, history: Sequence[Observation]) -> None:
        self._at = [seen.monotonic for seen in history]
        self._nodes = [Readings.of(seen).nodes for seen in history]

    def ends(self, node: str, after: int = 0) -> tuple[NodeCounts, NodeCounts] | None:
        """The first and the last of `run`, if that is the whole history without the `after` oldest readings."""
        if after >= len(self._nodes):
            return None
        first, last = self._nodes[after].get(node), self._nodes[-1].get(node)
        if first is None or last is None or first.started != last.started:
            return None
        return first, last

    def run(self, node: str, after: int = 0) -> Run:
        """Those since its last start, without the `after` oldest readings; empty if the newest has none."""
        newest = self._nodes[-1].get(node) if after < len(self._nodes) else None
        if newest is None:
            return Run()
        told = [(nodes.get(node), at) for nodes, at in zip(self._nodes[after:], self._at[after:], strict=True)]
        kept = [(one, at) for one, at in told if one is not None and one.started == newest.started]
        return Run(*zip(*kept, strict=True))
