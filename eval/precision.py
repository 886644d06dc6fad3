"""Says when success is known well enough: the interval of every variant is narrower than was asked for.

Only the beginning of the campaign counts, up to the first scenario that some variant has not been through yet. Trials
that fail take longer than those that succeed, so what happens to have ended already is no fair sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from eval.evidence import Trial
from eval.stats import Rate, rate


class Precision:
    """Follows the trials of a campaign, given in their order; `done` says of those that ended if they succeeded."""

    def __init__(self, width: float, at_least: int, trials: Sequence[Trial], done: Mapping[str, bool]) -> None:
        self._width = width
        self._at_least = at_least
        self._done = dict(done)
        by_scenario = groupby(trials, key=lambda trial: (trial.repeat, trial.scenario.id))
        self._waiting = [list(group) for _, group in by_scenario][::-1]
        self._counts = {trial.variant.name: (0, 0) for trial in trials}
        self._advance()

    def add(self, trial: str, *, success: bool) -> None:
        """A trial has ended."""
        self._done[trial] = success
        self._advance()

    @property
    def rates(self) -> dict[str, Rate]:
        """What counts so far, by variant."""
        return {name: rate(k, n) for name, (k, n) in self._counts.items()}

    @property
    def reached(self) -> bool:
        """Whether every variant was tried often enough and every interval is narrow enough."""
        return all(one.n >= self._at_least and one.high - one.low < self._width for one in self.rates.values())

    def _advance(self) -> None:
        while self._waiting and all(trial.id in self._done for trial in self._waiting[-1]):
            for trial in self._waiting.pop():
                k, n = self._counts[trial.variant.name]
                self._counts[trial.variant.name] = k + self._done[trial.id], n + 1
