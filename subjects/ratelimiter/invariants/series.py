"""What several rules need of a history: the members, and a node's counters since it last started."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from operatorlab.subject import Node, NodeState, Observation
from subjects.ratelimiter.observer.readings import NodeCounts, Readings

_LONGEST_READING_S = 0.7


@dataclass(frozen=True, slots=True)
class Sample:
    """A node's counters as of `monotonic` seconds, and the Redis they were compared with."""

    monotonic: float
    counts: NodeCounts
    redis_run: str | None


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


def samples(history: Sequence[Observation], node: str) -> list[Sample]:
    """The counters of `node` since its last restart, oldest first; empty if the newest reading has none."""
    seen: list[Sample] = []
    for observation in reversed(history):
        readings = Readings.of(observation)
        counts = readings.nodes.get(node)
        if counts is None and not seen:
            return []
        if counts is None:
            continue
        if seen and counts.started != seen[-1].counts.started:
            break
        seen.append(Sample(observation.monotonic, counts, readings.redis.run_id if readings.redis else None))
    return seen[::-1]
