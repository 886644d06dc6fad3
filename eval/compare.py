"""Two operators compared pair by pair: the same scenario under the same seed, with each of them once.

    success, harm      exact McNemar test on the discordant pairs
    numbers            paired permutation test; the interval of the mean difference from a seeded bootstrap
    time to repair     log-rank test, with what never ended censored

All p-values of a comparison are corrected together (Benjamini and Hochberg, 1995).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil, sqrt

import numpy as np
import scipy

from eval.evidence import Trial
from eval.score import Score
from eval.stats import LEVEL, logrank

SEED = 20_261
RESAMPLES = 4_000
POWER = 0.8


class Finding(StrEnum):
    """What a comparison of one measure came to."""

    DIFFERENT = "different"
    NOT_SHOWN = "not shown"
    TOO_FEW = "too few pairs"


@dataclass(frozen=True, slots=True)
class Pair:
    """The same scenario with one and with the other."""

    scenario: str
    one: Score
    other: Score


@dataclass(frozen=True, slots=True)
class Compared:
    """One measure. `difference` is one minus other, with its interval; p-values are None where there is no test."""

    measure: str
    n: int
    one: float | None
    other: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_corrected: float | None = None
    finding: Finding = Finding.TOO_FEW
    need: int | None = None
    """Pairs in all that would show a difference of this size four times in five; None where none was seen."""


def pair_up(one: Iterable[tuple[Trial, Score]], other: Iterable[tuple[Trial, Score]]) -> list[Pair]:
    """The pairs of two sets of trials; trials without a partner are left out."""
    partners = {_key(trial): score for trial, score in other}
    return [Pair(trial.scenario.label, score, partners[_key(trial)]) for trial, score in one if _key(trial) in partners]


def compare(pairs: Sequence[Pair]) -> list[Compared]:
    """Every measure on which the pairs can be compared."""
    found = [
        binary("success", [(pair.one.success, pair.other.success) for pair in pairs]),
        binary("harm done", [(pair.one.harm.any, pair.other.harm.any) for pair in pairs]),
        binary(
            "blamed exactly", [(bool(p.one.diagnosis.exact), bool(p.other.diagnosis.exact)) for p in _broken(pairs)]
        ),
        number("commands", _both(pairs, lambda score: float(score.commands.total))),
        number("requests failed after the first command", _both(pairs, lambda score: float(score.harm.errors_after))),
        number("cost, $", _both(pairs, lambda score: score.cost.cost_usd)),
        times("time to repair, s", _broken(pairs)),
    ]
    return _corrected(found)


def binary(measure: str, seen: Sequence[tuple[bool, bool]]) -> Compared:
    """Shares of two paired yes-or-no measures, by McNemar's exact test (Psychometrika 12, 1947)."""
    n, only_one = len(seen), sum(a and not b for a, b in seen)
    only_other = sum(b and not a for a, b in seen)
    if not n:
        return Compared(measure, 0, None, None)
    discordant = only_one + only_other
    p = float(scipy.stats.binomtest(only_one, discordant, 0.5).pvalue) if discordant else 1.0
    one, other = (sum(pair[side] for pair in seen) / n for side in (0, 1))
    difference = one - other
    low, high = _bootstrap([float(a) - float(b) for a, b in seen])
    need = pairs_needed(discordant / n, abs(difference)) if difference else None
    return Compared(measure, n, one, other, difference, low, high, p, need=need)


def number(measure: str, seen: Sequence[tuple[float, float]]) -> Compared:
    """Means of two paired numbers, by a paired permutation test."""
    if not seen:
        return Compared(measure, 0, None, None)
    differences = np.array([a - b for a, b in seen])
    one, other = (float(np.mean([pair[side] for pair in seen])) for side in (0, 1))
    low, high = _bootstrap(list(differences))
    p = _permutation(differences)
    need = _pairs_for_means(differences)
    return Compared(measure, len(seen), one, other, one - other, low, high, p, need=need)


def times(measure: str, pairs: Sequence[Pair]) -> Compared:
    """Times to repair by the log-rank test. It takes no account of the pairing, and so shows less rather than more."""
    sides = [[score.repair.lasted for score in side] for side in ([p.one for p in pairs], [p.other for p in pairs])]
    known = [[(time, end) for time, end in side if time is not None] for side in sides]
    (a, a_ended), (b, b_ended) = (([t for t, _ in side], [end for _, end in side]) for side in known)
    p = logrank(a, a_ended, b, b_ended)
    one, other = (float(np.mean(done)) if (done := [t for t, end in side if end]) else None for side in known)
    return Compared(measure, min(len(a), len(b)), one, other, p=p)


def pairs_needed(discordant: float, difference: float, power: float = POWER) -> int | None:
    """Pairs for McNemar's test to show `difference` (Connor, Biometrics 43, 1987); None where it is none.

    `discordant` is the share of pairs that differ at all.
    """
    if difference <= 0:
        return None
    alpha, beta = scipy.stats.norm.ppf(1 - (1 - LEVEL) / 2), scipy.stats.norm.ppf(power)
    spread = sqrt(max(discordant - difference**2, 0.0))
    return ceil(float((alpha * sqrt(discordant) + beta * spread) / difference) ** 2)


def detectable(pairs: int) -> float | None:
    """The smallest difference that so many pairs show, where one side alone differs; None if they show none."""
    for percent in range(1, 101):
        if (need := pairs_needed(percent / 100, percent / 100)) is not None and need <= pairs:
            return percent / 100
    return None


def _corrected(found: Sequence[Compared]) -> list[Compared]:
    tested = [one for one in found if one.p is not None]
    corrected: list[float] = list(scipy.stats.false_discovery_control([one.p for one in tested])) if tested else []
    by_measure = {one.measure: float(p) for one, p in zip(tested, corrected, strict=True)}
    return [_judged(one, by_measure.get(one.measure)) for one in found]


def _judged(one: Compared, p: float | None) -> Compared:
    if p is None or one.n < 2:
        return replace(one, p_corrected=p)
    return replace(one, p_corrected=p, finding=Finding.DIFFERENT if p < 1 - LEVEL else Finding.NOT_SHOWN)


def _bootstrap(differences: Sequence[float]) -> tuple[float | None, float | None]:
    """A percentile interval of the mean, from a seeded bootstrap over pairs."""
    if len(differences) < 2:
        return None, None
    found = scipy.stats.bootstrap(
        (np.array(differences),), np.mean, n_resamples=RESAMPLES, confidence_level=LEVEL, method="percentile",
        rng=np.random.default_rng(SEED), vectorized=True,
    ).confidence_interval  # fmt: skip
    return float(found.low), float(found.high)


def _permutation(differences: np.ndarray) -> float:
    """The p-value that the sign of each difference is a matter of chance."""
    if len(differences) < 2 or not np.any(differences):
        return 1.0
    return float(
        scipy.stats.permutation_test(
            (differences,), np.mean, permutation_type="samples", n_resamples=RESAMPLES,
            rng=np.random.default_rng(SEED), vectorized=True,
        ).pvalue
    )  # fmt: skip


def _pairs_for_means(differences: np.ndarray) -> int | None:
    """Pairs for a mean difference of this size and spread, by the normal approximation."""
    mean, spread = abs(float(np.mean(differences))), float(np.std(differences))
    if mean == 0:
        return None
    alpha, beta = scipy.stats.norm.ppf(1 - (1 - LEVEL) / 2), scipy.stats.norm.ppf(POWER)
    return max(2, ceil(((float(alpha) + float(beta)) * spread / mean) ** 2))


def _key(trial: Trial) -> tuple[str, int]:
    return trial.scenario.id, trial.repeat


def _broken(pairs: Sequence[Pair]) -> list[Pair]:
    return [pair for pair in pairs if not pair.one.control]


def _both(pairs: Sequence[Pair], value: Callable[[Score], float | None]) -> list[tuple[float, float]]:
    found = [(value(pair.one), value(pair.other)) for pair in pairs]
    return [(a, b) for a, b in found if a is not None and b is not None]
