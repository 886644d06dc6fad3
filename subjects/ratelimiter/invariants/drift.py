"""Do the nodes' own counts of what they allowed agree with what Redis counted for them?

Redis' total of a node is read just before and just after the node's counter, so its growth between two
readings is known between two bounds; only a difference beyond those bounds and the tolerance is drift. A
decision that Redis took but whose answer the node did not get is a Redis error of that node, and forgiven.
Totals never shrink while one Redis process lives: if they do, someone flushed them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from operator import le
from typing import NamedTuple

from operatorlab.subject import Finding, Invariant, Observation, Undecided, Violation
from subjects.ratelimiter.invariants.series import node_members
from subjects.ratelimiter.observer.readings import NodeCounts, Readings

_RELATIVE = 0.05
"""Part of a node's allowed requests that may differ besides the threshold: requests in flight at full load."""


class _Look(NamedTuple):
    """What of one reading is compared; `before` and `after` have the same nodes."""

    monotonic: float
    nodes: Mapping[str, NodeCounts]
    before: Mapping[str, int]
    after: Mapping[str, int]


def _check_counter_drift(history: Sequence[Observation], rule: Invariant) -> Iterator[Finding]:
    looks = _comparable(history)
    names = [node.name for node in node_members(history[-1])]
    lost = {} if _only_grew(looks) else {name: loss for name in names if (loss := _lost(_run(looks, name), name))}
    if lost:
        shrunk = ", ".join(f"{name} from {before} to {after}" for name, (before, after) in sorted(lost.items()))
        message = f"Redis lost counts without a restart: the total of {shrunk}"
        yield Violation(rule.name, "redis", message, rule.severity, {"lost": lost})
    for name in names:
        if lost:
            yield Undecided(rule.name, name, "Redis lost its totals, there is nothing to compare with")
        elif len(looks) > 1 and _agree(looks[0], looks[-1], name):
            continue
        elif len(run := _run(looks, name)) < 2:
            yield Undecided(rule.name, name, "fewer than two readings of its counters and of Redis' totals")
        else:
            yield from _drift(rule, name, run)


def _comparable(history: Sequence[Observation]) -> list[_Look]:
    """The readings of the Redis process that runs now; none if the newest does not tell which."""
    seen = [(one.monotonic, Readings.of(one)) for one in history]
    now = seen[-1][1].redis
    return [
        _Look(at, one.nodes, one.counted_before, one.counted_after)
        for at, one in seen
        if now is not None and one.redis is not None and one.redis.run_id == now.run_id
    ]


def _only_grew(looks: Sequence[_Look]) -> bool:
    """Whether each reading has the totals of the same nodes, and none ever shrank: so it is, most of the time."""
    totals = [one for look in looks for one in (look.before, look.after)]
    return all(
        list(older) == list(newer) and all(map(le, older.values(), newer.values())) for older, newer in pairwise(totals)
    )


def _agree(first: _Look, last: _Look, name: str) -> bool:
    """Whether what a node counted surely lies between what Redis did: most nodes, most of the time."""
    older, newer = first.nodes.get(name), last.nodes.get(name)
    if older is None or newer is None or older.started != newer.started:
        return False
    if name not in first.before or name not in last.before:
        return False
    own = newer.allowed - older.allowed
    return last.before[name] - first.after[name] <= own <= last.after[name] - first.before[name]


def _run(looks: Sequence[_Look], name: str) -> list[_Look]:
    """Those with both totals of a node and with its counters since it last started; none if the newest is not such."""
    newest = looks[-1].nodes.get(name) if looks and name in looks[-1].before else None
    if newest is None:
        return []
    told = ((look, look.nodes.get(name)) for look in looks if name in look.before)
    return [look for look, one in told if one is not None and one.started == newest.started]


def _lost(run: Sequence[_Look], name: str) -> tuple[int, int] | None:
    """Redis' total of a node before and after it shrank, if it did."""
    totals = [total for look in run for total in (look.before[name], look.after[name])]
    highest = accumulate(totals, max)
    return next(((most, now) for most, now in zip(highest, totals[1:], strict=False) if now < most), None)


def _drift(rule: Invariant, name: str, run: Sequence[_Look]) -> Iterator[Finding]:
    assert rule.threshold is not None
    first, last = run[0], run[-1]
    own = last.nodes[name].allowed - first.nodes[name].allowed
    least = last.before[name] - first.after[name]
    most = last.after[name] - first.before[name]
    forgiven = last.nodes[name].redis_errors - first.nodes[name].redis_errors
    tolerance = rule.threshold + _RELATIVE * max(own, most)
    if own - most > tolerance or least - own > tolerance + forgiven:
        message = (
            f"{name} says it allowed {own} requests in the last {last.monotonic - first.monotonic:.1f} s, "
            f"Redis counted {least} to {most} for it (tolerance {tolerance:.0f})"
        )
        evidence = {"node": own, "redis_least": least, "redis_most": most, "redis_errors": forgiven}
        yield Violation(rule.name, name, message, rule.severity, evidence)


COUNTER_DRIFT = Invariant(
    name="counter_drift",
    description="What a node says it allowed is what Redis counted for it, within the threshold, over the window.",
    check=_check_counter_drift,
    grace_s=0.5,
    window_s=5.0,
    threshold=20,
    unit="requests",
)
