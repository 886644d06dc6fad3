"""Can the observer see what it needs of every live member? What it cannot see it cannot vouch for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from operatorlab.subject import Blind, Finding, Invariant, Observation, Severity, Undecided, Violation
from subjects.ratelimiter.invariants.series import is_live

_READINGS = 3
"""Readings in a row that must miss the same thing: one late answer is no blindness."""


def _check_observer_blind(history: Sequence[Observation], rule: Invariant) -> Iterator[Finding]:
    recent = history[-_READINGS:]
    for member in recent[-1].nodes:
        missed = [blind for blind in recent[-1].blind if blind.component == member.name]
        lasting = [b for b in missed if all(seen.blind_to(b.what, b.component) for seen in recent)]
        if len(recent) == _READINGS and lasting:
            yield _violation(rule, member.name, lasting)
        elif missed:
            yield Undecided(rule.name, member.name, f"missed in fewer than {_READINGS} readings: {_list(missed)}")
        elif not is_live(member):
            yield Undecided(rule.name, member.name, "it is not there to be seen")


def _violation(rule: Invariant, component: str, lasting: Sequence[Blind]) -> Violation:
    evidence = {blind.what: blind.why for blind in lasting}
    return Violation(rule.name, component, f"cannot see {_list(lasting)} of {component}", rule.severity, evidence)


def _list(blind: Sequence[Blind]) -> str:
    return "; ".join(f"{b.what} ({b.why})" for b in blind)


OBSERVER_BLIND = Invariant(
    name="observer_blind",
    description="Everything the observer looks for in a live member can be seen.",
    check=_check_observer_blind,
    severity=Severity.WARNING,
    grace_s=1.0,
    window_s=10.0,
)
