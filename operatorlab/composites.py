"""A small algebra of faults: composites are built from singles, at the same time, in turn, briefly, again and again.

    together(hit(NodeCrash, "node-1"), hit(RedisLatency, "node-2"))
    in_turn(briefly(hit(RedisCrash, "redis"), 2.0), hit(RedisReadonly, "redis"), every_s=3.0)
    again(briefly(hit(NodeCrash, "node-1"), 1.0), times=3, every_s=4.0)

Each of these takes and gives a `Plan`: parts with their times, in seconds since the composite began.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import isfinite

from operatorlab.subject import DEPLOYMENTS, Composite, Fault, Part, Subject

Plan = tuple[Part, ...]


def hit(fault: type[Fault], target: str) -> Plan:
    """One fault, at once, to stay."""
    return (Part(fault, target),)


def later(plan: Plan, by_s: float) -> Plan:
    """The same, begun `by_s` seconds later."""
    return tuple(replace(part, after_s=part.after_s + by_s) for part in plan)


def briefly(plan: Plan, for_s: float) -> Plan:
    """The same, each part taken back `for_s` seconds after it began."""
    return tuple(replace(part, lasts_s=for_s) for part in plan)


def together(*plans: Plan) -> Plan:
    """All of them, begun at the same time."""
    return tuple(part for plan in plans for part in plan)


def in_turn(*plans: Plan, every_s: float) -> Plan:
    """One after the other, one begun every `every_s` seconds."""
    return together(*(later(plan, number * every_s) for number, plan in enumerate(plans)))


def again(plan: Plan, *, times: int, every_s: float) -> Plan:
    """The same several times, begun every `every_s` seconds."""
    return in_turn(*[plan] * times, every_s=every_s)


def deployments(composite: Composite) -> tuple[str, ...]:
    """Where the mechanisms of all its parts exist."""
    return tuple(kind for kind in DEPLOYMENTS if all(kind in part.fault.deployments for part in composite.parts))


def lasting(composite: Composite) -> Plan:
    """The parts that stay until somebody undoes them."""
    return tuple(part for part in composite.parts if part.lasts_s is None)


def metastable(composite: Composite) -> bool:
    """Whether the failure stays after what set it off is gone."""
    stays = lasting(composite)
    return bool(stays) and all(part.fault.latent for part in stays)


def problems(subject: Subject) -> Iterator[str]:
    """What is wrong with the composites that a subject declares."""
    declared: object = subject.composites
    if not isinstance(declared, tuple) or not all(isinstance(one, Composite) for one in declared):
        yield f"composites: must be a tuple of Composite, not {declared!r}"
        return
    names = [one.name for one in subject.composites]
    taken = {fault.name for fault in subject.faults}
    for name in sorted({name for name in names if names.count(name) > 1 or name in taken}):
        yield f"composites: {name!r} is the name of more than one fault or composite"
    for one in subject.composites:
        yield from (f"composite {one.name!r}: {why}" for why in _of_one(one, subject))


def _of_one(composite: Composite, subject: Subject) -> Iterator[str]:
    if not composite.name.isidentifier() or not composite.summary.strip():
        yield "it needs a name like one of Python, and a summary"
    if composite.load is not None and composite.load not in subject.loads:
        yield f"it needs the load {composite.load!r}, which the subject does not have"
    if not composite.parts and not composite.harmless:
        yield "it has no parts"
    if not composite.harmless and composite.parts and all(part.fault.latent for part in composite.parts):
        yield "nothing sets off what is latent in it"
    if not deployments(composite):
        yield "its parts exist on no deployment together"
    for part in composite.parts:
        yield from _of_part(part, subject)
    lasting_ones = [(part.fault, part.target) for part in lasting(composite)]
    if len(set(lasting_ones)) < len(lasting_ones):
        yield "the same fault of the same target stays twice"


def _of_part(part: Part, subject: Subject) -> Iterator[str]:
    if part.fault not in subject.faults:
        yield f"{part.fault!r} is no fault of the subject"
    elif part.target not in part.fault.targets(subject):
        yield f"{part.fault.name} has no target {part.target!r}"
    if not isfinite(part.after_s) or part.after_s < 0:
        yield f"{part.fault.name}: after_s must be seconds from 0 on, not {part.after_s!r}"
    if part.lasts_s is not None and not (isfinite(part.lasts_s) and part.lasts_s > 0):
        yield f"{part.fault.name}: lasts_s must be seconds above 0 or None, not {part.lasts_s!r}"
