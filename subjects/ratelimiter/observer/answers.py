"""From the answers of one reading to what it says: the state of each member, the readings, the blind spots.

Pure. A member that is down is *seen* to be down, which is no blindness; blind is what a live member
should have shown and did not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from operatorlab.subject import Blind, Json, Node, NodeState
from subjects.ratelimiter.members import REDIS
from subjects.ratelimiter.observer.readings import CanaryCheck, NodeCounts, Readings
from subjects.ratelimiter.observer.redis_probe import RedisAnswer
from subjects.ratelimiter.observer.silence import Kind, Silence


class NodeAnswers(NamedTuple):
    """The answers of one node, or why there was none."""

    unready: str | Silence
    health: int | Silence | None  # None: not asked, its readiness came soon enough
    counts: NodeCounts | Silence
    canary: tuple[CanaryCheck | Silence, ...] = ()
    before: Mapping[str, int] | None = None
    """Redis' totals, read before its counters."""

    @property
    def is_well(self) -> bool:
        """Whether it told everything it was asked for, and is ready: most nodes, most of the time."""
        if self.unready != "" or self.health is not None or isinstance(self.counts, Silence):
            return False
        return not self.canary or not any(isinstance(check, Silence) for check in self.canary)

    def silence(self) -> Silence | None:
        """Why the node does not seem to live; None if it answered anything at all, unless it is known to be paused."""
        if isinstance(self.unready, Silence) and self.unready.kind is Kind.FROZEN:
            return self.unready  # what else it answered is from before
        answers = (self.unready, self.counts, *self.canary)
        mute = all(isinstance(answer, Silence) and answer.kind is not Kind.USELESS for answer in answers)
        return self.health if mute and isinstance(self.health, Silence) else None

    def missed(self) -> dict[str, Silence]:
        """What was asked for and not told, by name."""
        canary = next((check for check in self.canary if isinstance(check, Silence)), None)
        looks = {"health": self.health, "readiness": self.unready, "metrics": self.counts, "canary": canary}
        return {what: answer for what, answer in looks.items() if isinstance(answer, Silence)}

    def member(self, name: str) -> Node:
        """The node as these answers show it."""
        if self.is_well and isinstance(self.counts, NodeCounts):
            return _up(name, self.counts)
        silence = self.silence()
        if silence is not None:
            return _silent(name, "node", silence)
        facts: dict[str, Json] = {"ready": None if isinstance(self.unready, Silence) else not self.unready}
        if isinstance(self.counts, NodeCounts):
            facts |= {"allowed": self.counts.allowed, "denied": self.counts.denied}
        reason = self._complaint()
        return Node(name, "node", NodeState.DEGRADED if reason else NodeState.UP, reason, facts)

    def _complaint(self) -> str:
        """What is wrong with a live node; empty if nothing."""
        if isinstance(self.unready, Silence):
            return f"/ready: {self.unready.why}"
        if not self.unready and isinstance(self.health, int) and self.health != 200:
            return f"/health answers {self.health}"
        return self.unready


@dataclass(frozen=True, slots=True)
class Answers:
    """All answers of one reading; nodes by name, in the order of the members."""

    nodes: Mapping[str, NodeAnswers]
    redis: RedisAnswer | Silence
    after: Mapping[str, int] = field(default_factory=dict)
    """Redis' totals by node, read after its counters."""
    _unwell: Collection[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_unwell", {name for name, one in self.nodes.items() if not one.is_well})

    def members(self) -> tuple[Node, ...]:
        """Every expected member, whatever it answered."""
        return (*(answers.member(name) for name, answers in self.nodes.items()), self._redis_member())

    def readings(self) -> Readings:
        """The numbers among the answers."""
        checks = (check for answers in self.nodes.values() for check in answers.canary)
        before = {
            name: one.before.get(name, 0)
            for name, one in self.nodes.items()
            if one.before is not None and name in self.after
        }
        return Readings(
            nodes={name: one.counts for name, one in self.nodes.items() if isinstance(one.counts, NodeCounts)},
            redis=self.redis.reading if isinstance(self.redis, RedisAnswer) else None,
            canary=tuple(check for check in checks if isinstance(check, CanaryCheck)),
            counted_before=before,
            counted_after={name: self.after[name] for name in before},
        )

    def blind(self, members: Iterable[Node]) -> tuple[Blind, ...]:
        """What of these members should have been seen and was not."""
        some = (member for member in members if member.name in self._unwell or member.name not in self.nodes)
        return tuple(blind for member in some for blind in self._blind_spots(member))

    def _blind_spots(self, member: Node) -> list[Blind]:
        if member.state is NodeState.UNKNOWN:
            return [Blind("state", member.name, member.reason)]
        if member.state is NodeState.DOWN:
            return []
        if member.name in self.nodes:
            missed = self.nodes[member.name].missed()
            return [Blind(what, member.name, silence.why) for what, silence in missed.items()]
        return [Blind("counts", member.name, member.reason)] if member.reason else []

    def _redis_member(self) -> Node:
        answer = self.redis
        if isinstance(answer, Silence):
            return _silent(REDIS, REDIS, answer)
        if answer.reading is None:
            return Node(REDIS, REDIS, NodeState.DEGRADED, f"does not serve the observer: {answer.refusal}")
        facts = {"version": answer.version, "uptime_s": answer.uptime_s, "run_id": answer.reading.run_id}
        return Node(REDIS, REDIS, NodeState.UP, "", facts)


def _up(name: str, counts: NodeCounts) -> Node:
    """A node that told everything, and is ready."""
    return Node(name, "node", NodeState.UP, "", {"ready": True, "allowed": counts.allowed, "denied": counts.denied})


def _silent(name: str, role: str, silence: Silence) -> Node:
    """A member that answered nothing; the kind of silence is a fact of it."""
    state = NodeState.UNKNOWN if silence.kind is Kind.UNSEEN else NodeState.DOWN
    reason = f"hangs: {silence.why}" if silence.kind in {Kind.HUNG, Kind.FROZEN} else silence.why
    return Node(name, role, state, reason, {"silence": silence.kind.value})
