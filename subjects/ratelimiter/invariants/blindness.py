"""Can the observer see what it needs of every live member? What it cannot see it cannot vouch for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from operatorlab.subject import Blind, Finding, Invariant, Observation, Severity, Undecided, Violation
from subjects.ratelimiter.invariants.series import is_live, lasting_s


def _check_observer_blind(history: Sequence[Observation], rule: Invariant) -> Iterator[Finding]:
    assert rule.threshold is not None
    now = history[-1]
    missed: dict[str, list[Blind]] = {node.name: [] for node in now.unwell if not is_live(node)}
    for blind in now.blind:
        missed.setdefault(blind.component, []).append(blind)
    for name, spots in missed.items():
        lasting = [blind for blind in spots if _missed_for_s(history, blind) >= rule.threshold]
        if lasting:
            yield _violation(rule, name, lasting)
        elif spots:
            yield Undecided(rule.name, name, f"missed for less than {rule.threshold} s: {_list(spots)}")
        else:
            yield Undecided(rule.name, name, "it is not there to be seen")


def _missed_for_s(history: Sequence[Observation], blind: Blind) -> float:
    return lasting_s(history, lambda seen: seen.blind_to(blind.what, blind.component))


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
    window_s=5.0,
    threshold=1.9,
    unit="s",
)
