"""Runs a subject's invariants over the recent observations. A check that raises has decided nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from operatorlab.monitor.judging import EVERY
from operatorlab.subject import Finding, Invariant, Observation, Severity, Undecided, Violation

OBSERVER_BLIND = "observer_blind"
OBSERVER = "observer"
"""The component that is blamed when a whole look fails."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What the rules said. `failed` tells, by rule, why its check could not be run to its end."""

    findings: tuple[Finding, ...]
    failed: tuple[tuple[str, str], ...] = ()

    @property
    def violations(self) -> list[Violation]:
        """What is broken."""
        return [finding for finding in self.findings if isinstance(finding, Violation)]

    @property
    def undecided(self) -> list[Undecided]:
        """What could not be judged."""
        return [finding for finding in self.findings if isinstance(finding, Undecided)]


class History:
    """The observations of the last `window_s` seconds, and always the newest."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._kept: deque[Observation] = deque()

    def add(self, observation: Observation) -> None:
        """Add the newest and forget what is too old. A clock that went back begins a new history."""
        if self._kept and observation.monotonic < self._kept[-1].monotonic:
            self._kept.clear()
        self._kept.append(observation)
        while observation.monotonic - self._kept[0].monotonic > self._window_s:
            self._kept.popleft()

    def last(self, window_s: float) -> list[Observation]:
        """Those of the last `window_s` seconds, oldest first; never empty after the first `add`."""
        newest = self._kept[-1].monotonic
        return [seen for seen in self._kept if newest - seen.monotonic <= window_s]


def check(invariants: Iterable[Invariant], history: History) -> Checked:
    """Run every rule over its own window."""
    findings: list[Finding] = []
    failed: list[tuple[str, str]] = []
    for rule in invariants:
        try:
            findings += _run(rule, history.last(rule.window_s))
        except Exception as trouble:  # noqa: BLE001  another author's code: recorded, and decides nothing
            why = f"its check raised {type(trouble).__name__}: {trouble}"
            failed.append((rule.name, why))
            findings.append(Undecided(rule.name, EVERY, why))
    return Checked(tuple(findings), tuple(failed))


def nothing_seen(invariants: Iterable[Invariant], why: str) -> Checked:
    """What a failed look means: no rule can be judged, and the observer itself is in trouble."""
    blind = Violation(OBSERVER_BLIND, OBSERVER, f"the subject could not be observed: {why}", Severity.CRITICAL)
    return Checked((blind, *(Undecided(rule.name, EVERY, why) for rule in invariants)))


def _run(rule: Invariant, window: Sequence[Observation]) -> list[Finding]:
    found = list(rule.check(window, rule))
    for finding in found:
        if not isinstance(finding, Violation | Undecided):
            raise TypeError(f"a check yields Violation or Undecided, not {type(finding).__name__}")
        if finding.invariant != rule.name:
            raise ValueError(f"it reports on {finding.invariant!r}")
    return found
