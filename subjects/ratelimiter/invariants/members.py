"""Who is down, and who has lost Redis.

A refused connection is believed at once, and so is silence of a member that whoever runs it says is paused; silence
alone, and a node's word that it has lost Redis, when they have lasted for the threshold: a busy machine can feign both
for a moment. A node that loses Redis again and again is believed as well, when the pieces add up to twice the
threshold, and is not acquitted by the pauses between them; nor is one that is down again and again.

Redis is blamed for its own outage: when it does not answer the observer, or answers but serves no node at all, the
nodes that suffer from it are undecided, not broken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from operatorlab.subject import Finding, Invariant, Node, NodeState, Observation, Undecided, Violation
from subjects.ratelimiter.invariants.series import ended, is_live, node_members, unwell_nodes
from subjects.ratelimiter.members import REDIS
from subjects.ratelimiter.observer.silence import Kind

_SURE = frozenset({Kind.REFUSED, Kind.FROZEN})
"""Kinds of silence that are believed at once."""


def _check_node_down(history: Sequence[Observation], rule: Invariant) -> Iterator[Finding]:
    now = history[-1]
    for node in unwell_nodes(now):
        if node.state is NodeState.UNKNOWN:
            yield Undecided(rule.name, node.name, node.reason)
        elif node.state is NodeState.DOWN:
            yield _outage(rule, node)
    for name, times in _outages(history).items():
        if times > 1 and is_live(now.node(name)):
            yield Undecided(rule.name, name, f"it was down {times} times in {rule.window_s:g} s")


def _outages(history: Sequence[Observation]) -> Counter[str]:
    """How often each node went down for sure; that it was late again and again does not count."""
    times: Counter[str] = Counter()
    before: set[str] = set()
    for seen in history:
        down = {node.name for node in unwell_nodes(seen) if node.facts.get("silence") in _SURE}
        times.update(down - before)
        before = down
    return times


def _outage(rule: Invariant, node: Node) -> Finding:
    """A member that is down: broken if it refused or has been silent for long enough, else not yet decided."""
    assert rule.threshold is not None
    silent_s = node.facts.get("silent_s")
    lasting = isinstance(silent_s, float) and silent_s >= rule.threshold
    if not lasting and node.facts.get("silence") not in _SURE:
        return Undecided(rule.name, node.name, f"silent for less than {rule.threshold} s: {node.reason}")
    message = f"{node.name} is down: {node.reason}"
    return Violation(rule.name, node.name, message, rule.severity, {"reason": node.reason, **node.facts})


def _check_redis_disconnected(history: Sequence[Observation], rule: Invariant) -> Iterator[Finding]:
    now = history[-1]
    redis = now.node(REDIS)
    if redis.state is NodeState.UNKNOWN:
        yield Undecided(rule.name, REDIS, redis.reason)
    elif redis.state is NodeState.DOWN:
        yield _outage(rule, redis)
    else:
        yield from _cut_off(history, rule)
    blamed = _blamed(now)
    for node in unwell_nodes(now):
        if node.name not in blamed and node.facts.get("ready") is not True:
            yield Undecided(rule.name, node.name, node.reason or "its readiness was not seen")


def _cut_off(history: Sequence[Observation], rule: Invariant) -> Iterator[Finding]:
    """Redis answers the observer: findings for whoever has been to blame for long enough."""
    assert rule.threshold is not None
    now = history[-1]
    looks = [(seen, _blamed(seen)) for seen in history]
    blamed = looks[-1][1]
    for component in sorted(frozenset().union(*(them for _, them in looks))):
        spells = _spells(looks, component)
        flaps = len(spells) > 1 and sum(spells) >= 2 * rule.threshold
        if component not in blamed:
            if flaps:
                yield Undecided(rule.name, component, f"it lost Redis {len(spells)} times in {rule.window_s:g} s")
            continue
        if spells[-1] < rule.threshold and not flaps:
            yield Undecided(rule.name, component, f"not ready for less than {rule.threshold} s")
            continue
        reasons = {n.name: n.reason for n in unwell_nodes(now) if n.facts.get("ready") is False}
        message = f"{component} cannot reach Redis: {now.node(component).reason}"
        if component == REDIS:
            message = f"Redis answers, but no node can use it: {'; '.join(sorted(set(reasons.values())))}"
        yield Violation(rule.name, component, message, rule.severity, {"not_ready": reasons})


def _spells(looks: Sequence[tuple[Observation, frozenset[str]]], component: str) -> list[float]:
    """For how long it was to blame each time, oldest first, in seconds from the start of a reading to an end of one."""
    lengths: list[float] = []
    began: float | None = None
    for seen, blamed in looks:
        if component not in blamed:
            began = None
            continue
        if began is None:
            began = seen.monotonic
            lengths.append(0.0)
        lengths[-1] = ended(seen) - began
    return lengths


def _blamed(observation: Observation) -> frozenset[str]:
    """Who is to blame for nodes without Redis: they themselves, or Redis if it is gone or serves none of several."""
    if observation.node(REDIS).state in {NodeState.DOWN, NodeState.UNKNOWN}:
        return frozenset({REDIS})
    unready = frozenset(n.name for n in unwell_nodes(observation) if is_live(n) and n.facts.get("ready") is False)
    if not unready:
        return unready
    live = sum(is_live(node) for node in node_members(observation))
    return frozenset({REDIS}) if live > 1 and len(unready) == live else unready


NODE_DOWN = Invariant(
    name="node_down",
    description="Every expected node answers its liveness probe: it neither refuses connections nor stays silent.",
    check=_check_node_down,
    grace_s=1.0,
    window_s=5.0,
    threshold=1.4,
    unit="s of silence",
)

REDIS_DISCONNECTED = Invariant(
    name="redis_disconnected",
    description="Every live node can use Redis, and Redis answers.",
    check=_check_redis_disconnected,
    grace_s=1.0,
    window_s=5.0,
    threshold=0.9,
    unit="s",
)
