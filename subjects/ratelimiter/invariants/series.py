"""What several rules need of a history: the members, and a node's counters since it last started."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from operatorlab.subject import Node, NodeState, Observation
from subjects.ratelimiter.observer.readings import NodeCounts, Readings

_LONGEST_READING_S = 0.7


class Look(NamedTuple):
    """When a reading was taken, in monotonic seconds, and the Redis that counters were compared with."""

    monotonic: float
    redis_run: str | None


class Run(NamedTuple):
    """A node's counters since it last started, oldest first, and the reading that each comes from."""

    counts: Sequence[NodeCounts] = ()
    looks: Sequence[Look] = ()


def node_members(observation: Observation) -> list[Node]:
    """The members that take requests."""
    return [node for node in observation.nodes if node.role == "node"]


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
        readings = [Readings.of(seen) for seen in history]
        self._nodes = [one.nodes for one in readings]
        self._looks = [
            Look(seen.monotonic, one.redis.run_id if one.redis else None)
            for seen, one in zip(history, readings, strict=True)
        ]

    def run(self, node: str, after: int = 0) -> Run:
        """Those since its last start, without the `after` oldest readings; empty if the newest has none."""
        told = [nodes.get(node) for nodes in self._nodes[after:]]
        newest = told[-1] if told else None
        if newest is None:
            return Run()
        first = len(told)
        while first and ((one := told[first - 1]) is None or one.started == newest.started):
            first -= 1
        looks = self._looks[after + first :]
        counts = [one for one in told[first:] if one is not None]
        if len(counts) < len(looks):
            looks = [look for look, one in zip(looks, told[first:], strict=True) if one is not None]
        return Run(counts, looks)
