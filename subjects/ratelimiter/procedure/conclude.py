"""From what happened in a session to its report. Claims no more than was seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from operatorlab.procedure import Conclusion, Rejected
from operatorlab.subject import FaultKind
from subjects.ratelimiter.members import REDIS
from subjects.ratelimiter.procedure.picture import Picture
from subjects.ratelimiter.procedure.trouble import Remedy, Trouble

_UNDERSTOOD = {"node_down", "redis_disconnected", "ghost_allowing", "over_blocking"}
"""What is over if nothing this procedure looks at is wrong; of other invariants it cannot tell."""


@dataclass(slots=True)
class Course:
    """What happened so far in one session."""

    invariants: tuple[str, ...]
    components: tuple[str, ...]
    first: Picture = field(default_factory=Picture)
    last: Picture = field(default_factory=Picture)
    found: dict[tuple[Remedy, str], Trouble] = field(default_factory=dict)
    tried: set[tuple[Remedy, str]] = field(default_factory=set)
    worked: set[tuple[Remedy, str]] = field(default_factory=set)
    changed: list[str] = field(default_factory=list)
    left: tuple[Trouble, ...] = ()
    logs: dict[str, str] = field(default_factory=dict)  # the last complaint in a process' log

    @property
    def opening(self) -> str:
        """The incident in one sentence."""
        if not self.invariants:
            return "The incident names no invariant."
        return f"The incident is {', '.join(self.invariants)} on {', '.join(self.components)}."

    def remember(self, troubles: Iterable[Trouble]) -> None:
        """Keep every trouble as it was first seen."""
        for trouble in troubles:
            self.found.setdefault(trouble.fingerprint, trouble)


def conclude(course: Course) -> Conclusion:
    """The report of a session."""
    if course.left:
        return _escalated(course)
    if course.found:
        return _resolved(course)
    strange = [name for name in course.invariants if name not in _UNDERSTOOD]
    if course.last.unseen or strange:
        return _not_understood(course, strange)
    return _nothing_wrong(course)


def _resolved(course: Course) -> Conclusion:
    found = tuple(course.found.values())
    outcome = "resolved" if course.changed else "no_action_needed"
    cured = "" if course.changed else " It was gone on the second look, and nothing was changed."
    return Conclusion(
        outcome=outcome,
        blamed=_blamed(found),
        kind=found[0].kind.value,
        mechanism="; ".join(trouble.mechanism for trouble in found) + "." + cured,
        confidence=0.9 if course.changed else 0.5,
        changed=tuple(course.changed),
        rejected=tuple(_rejected(course)),
        follow_ups=tuple(_follow_ups(found)),
        spread=tuple(_spread(course, found)),
    )


def _escalated(course: Course) -> Conclusion:
    found = tuple(course.found.values())
    still = "; ".join(trouble.seen for trouble in course.left)
    logs = "".join(f" The log of {name} says: {line}." for name, line in course.logs.items())
    return Conclusion(
        outcome="escalated",
        blamed=_blamed(course.left),
        kind=course.left[0].kind.value,
        mechanism=f"{'; '.join(trouble.mechanism for trouble in found)}. Still so: {still}.{logs}",
        confidence=0.5,
        changed=tuple(course.changed),
        rejected=tuple(_rejected(course)),
        follow_ups=(f"a person must look at: {', '.join(_blamed(course.left))}", *_unseen(course)),
        spread=tuple(_spread(course, course.left)),
    )


def _not_understood(course: Course, strange: list[str]) -> Conclusion:
    looked = "processes, liveness, readiness, Redis, link rules and limits"
    why = f"{', '.join(strange)} has a cause this procedure cannot see" if strange else "not everything could be seen"
    return Conclusion(
        outcome="escalated",
        blamed=(),
        kind=FaultKind.NONE.value,
        mechanism=f"Not understood: of {looked}, all that was seen looks well, but {why}.",
        confidence=0.1,
        rejected=tuple(_rejected(course)),
        follow_ups=("a person must look; nothing was changed", *_unseen(course)),
    )


def _nothing_wrong(course: Course) -> Conclusion:
    return Conclusion(
        outcome="no_action_needed",
        blamed=(),
        kind=FaultKind.NONE.value,
        mechanism="Every process runs, every node is ready, Redis answers, links are open and limits are as declared.",
        confidence=0.7,
        rejected=tuple(_rejected(course)),
        follow_ups=("if it comes back, look while it lasts",),
    )


def _blamed(troubles: Iterable[Trouble]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(trouble.component for trouble in troubles))


def _spread(course: Course, found: Iterable[Trouble]) -> Iterator[tuple[str, str]]:
    """From Redis to the nodes that live, were not ready in the first look, and have no trouble of their own."""
    blamed = _blamed(found)
    if REDIS in blamed:
        for node in course.first.nodes:
            if node.lives and not node.is_ready and node.name not in blamed:
                yield REDIS, node.name


def _unseen(course: Course) -> Iterator[str]:
    return (f"could not be seen: {what}" for what in course.last.unseen)


def _follow_ups(found: Iterable[Trouble]) -> Iterator[str]:
    for trouble in found:
        if trouble.remedy is Remedy.CLEAR_LIMIT:
            yield f"find out who set the limit of {trouble.where!r}"
        elif trouble.remedy in {Remedy.START, Remedy.THAW, Remedy.RESTART, Remedy.CREATE}:
            yield f"find out what ended or stopped {trouble.where}"
        elif trouble.remedy in {Remedy.REMAKE, Remedy.CONNECT, Remedy.LIFT, Remedy.FREE}:
            yield f"find out who did this: {trouble.seen}"


def _rejected(course: Course) -> Iterator[Rejected]:
    """The other causes, each with what the first look had to say against it."""
    first, kinds = course.first, {trouble.kind for trouble in course.found.values()}
    running = [one for one in first.processes.values() if one.running]
    if first.processes and len(running) == len(first.processes):
        yield Rejected("a process crashed", f"all {len(running)} were listed as RUNNING with their pids")
    if running and FaultKind.HANG not in kinds and any(one.kernel_state for one in running):
        yield Rejected("a process hangs", "the kernel showed no running process as stopped, and none was silent")
    if first.redis and first.redis.answers:
        yield Rejected("Redis is down", "it answered PING with PONG when asked directly")
    if first.links and all(link.passes for link in first.links):
        yield Rejected("a path to Redis is cut", "no rule of a link holds anything back")
    if first.limits and not any(trouble.remedy is Remedy.CLEAR_LIMIT for trouble in course.found.values()):
        yield Rejected("a limit was changed", "/api/limits agreed with etc/limits.json")
