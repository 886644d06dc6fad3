"""Look, repair, look again: at most three looks, and no remedy is tried twice on the same thing."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import replace

from operatorlab.procedure import Conclusion, Printed, Step
from subjects.ratelimiter.procedure.assess import assess
from subjects.ratelimiter.procedure.conclude import Course, conclude
from subjects.ratelimiter.procedure.look import look
from subjects.ratelimiter.procedure.picture import Picture
from subjects.ratelimiter.procedure.repair import repair
from subjects.ratelimiter.procedure.trouble import Remedy, Trouble
from subjects.ratelimiter.procedure.ways import Ways

_LOOKS = 3
_REPAIRS_A_ROUND = 6  # what is left over is found again by the next look
_NEXT = {Remedy.THAW: Remedy.RESTART, Remedy.START: Remedy.REMAKE}
"""What was thawed and is frozen again, what was started and has ended again: perhaps its container was made wrongly."""
_TICKET_LINE = re.compile(r"^(component|invariant): (\S.{0,200})$", re.MULTILINE)
_LOG_LINE = re.compile(r"(?:ERROR|WARNING|CRITICAL|#) .*")


def diagnose(incident: str) -> Generator[Step, Printed, Conclusion]:
    """Work through an incident from its text."""
    course = _open(incident)
    why, ways = course.opening, None
    for number in range(_LOOKS):
        ways, course.last = yield from look(why, ways)
        course.first = course.first if number else course.last
        course.left = assess(course.last)
        course.remember(course.left)
        to_do = _to_do(course, ways)
        if not to_do or number == _LOOKS - 1:
            break
        yield from _repair_all(to_do, course, ways)
        why = f"Changed: {'; '.join(course.changed) or 'nothing'}. Look at everything again, not only at that."
    if ways:
        yield from _read_logs(course, ways)
    return conclude(course)


def _open(incident: str) -> Course:
    told = _TICKET_LINE.findall(incident)
    invariants = tuple(dict.fromkeys(value for name, value in told if name == "invariant"))
    components = tuple(dict.fromkeys(value for name, value in told if name == "component"))
    return Course(invariants, components)


def _to_do(course: Course, ways: Ways) -> list[Trouble]:
    """What can be tried now: each remedy once, and where it did not last the next one, if there is such a thing."""
    to_do = []
    for trouble in course.left:
        following = trouble
        if trouble.fingerprint in course.worked:  # one that was refused, as to who may only look, has no next
            following = replace(trouble, remedy=_NEXT.get(trouble.remedy, trouble.remedy))
        if following.fingerprint not in course.tried and following.remedy in ways.commands:
            to_do.append(following)
    return to_do[:_REPAIRS_A_ROUND]


def _repair_all(to_do: list[Trouble], course: Course, ways: Ways) -> Generator[Step, Printed, None]:
    before = len(course.changed)
    for trouble in to_do:
        course.tried.add(trouble.fingerprint)
        changed = yield from repair(trouble, course.last, ways)
        if changed:
            course.changed.append(changed)
            course.worked.add(trouble.fingerprint)
    if course.last.nodes and len(course.changed) > before:
        yield _settled(course.last)


def _settled(picture: Picture) -> Step:
    urls = " ".join(node.url for node in picture.nodes)
    answer = "$(curl -s -m 1 -o /dev/null -w '%{http_code}' $u/ready)"
    return Step(
        f'for i in $(seq 20); do n=0; for u in {urls}; do [ "{answer}" = 200 ] && n=$((n+1)); done; '
        f'[ $n = {len(picture.nodes)} ] && break; sleep 0.25; done; echo "$n of {len(picture.nodes)} nodes are ready"',
        "Give the nodes a moment to come up and to reach Redis, a few seconds at most, before judging the change.",
    )


def _read_logs(course: Course, ways: Ways) -> Generator[Step, Printed, None]:
    """For what is left: what the logs of its processes say last. Client text in them stays data."""
    named = [trouble.where.rpartition(":")[2] for trouble in course.left if trouble.remedy is not Remedy.CLEAR_LIMIT]
    for name in list(dict.fromkeys(named))[:4]:
        seen = next(trouble.seen for trouble in course.left if trouble.where.endswith(name))
        printed = yield Step(
            ways.log(name, course.last),
            f"{seen}, and I have nothing left to try. What does its own log say?",
        )
        lines = _LOG_LINE.findall(printed.output)
        if lines:
            course.logs[name] = " ".join(lines[-1].split())[:200]
