"""Statistics that survive a referee: rates with intervals, times with censoring, and what k attempts are worth.

The mathematics is scipy's; the tests check it against published examples.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, isfinite
from typing import Any

import numpy as np
import scipy  # whose parts are imported when they are used: a second and a half for the statistics

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Rate:
    """`k` of `n`, with the Wilson score interval (E. B. Wilson, JASA 22, 1927). Of none, nothing is known: 0…1."""

    k: int
    n: int
    low: float
    high: float

    @property
    def share(self) -> float | None:
        """k/n; None of none."""
        return self.k / self.n if self.n else None

    def __str__(self) -> str:
        if not self.n:
            return "– (0)"
        return f"{self.k / self.n:.0%} ({self.k}/{self.n}; {self.low:.0%}–{self.high:.0%})"


def rate(k: int, n: int, level: float = LEVEL) -> Rate:
    """A rate with its interval."""
    if n == 0:
        return Rate(0, 0, 0.0, 1.0)
    interval = scipy.stats.binomtest(k, n).proportion_ci(level, method="wilson")
    return Rate(k, n, float(interval.low), float(interval.high))


@dataclass(frozen=True, slots=True)
class Median:
    """A median time in seconds by Kaplan and Meier; None where more than half never came to an end.

    The interval inverts the log-log interval of the survival function (Brookmeyer and Crowley, Biometrics 38, 1982).
    """

    value: float | None
    low: float | None
    high: float | None
    events: int
    n: int

    def __str__(self) -> str:
        if not self.n:
            return "– (0)"
        if self.value is None:
            return f"never in half ({self.events}/{self.n})"
        interval = f"{_seconds(self.low)}–{_seconds(self.high)}"
        return f"{self.value:.1f} s ({interval}; {self.events}/{self.n})"


def median(times: Sequence[float], ended: Sequence[bool]) -> Median:
    """The median of `times`, of which those not `ended` were still running when they were last seen."""
    if not times:
        return Median(None, None, None, 0, 0)
    curve = scipy.stats.ecdf(_censored(times, ended)).sf
    value = _crossing(curve.quantiles, curve.probabilities)
    low, high = (
        _crossing(bound.quantiles, bound.probabilities) if sum(ended) else None for bound in _bounds(curve, sum(ended))
    )
    return Median(value, low, high, int(sum(ended)), len(times))


@dataclass(frozen=True, slots=True)
class Curve:
    """A survival curve: at each of `times` (seconds) the share still without an end, right after it."""

    times: tuple[float, ...]
    shares: tuple[float, ...]


def survival(times: Sequence[float], ended: Sequence[bool]) -> Curve:
    """The Kaplan-Meier estimate (JASA 53, 1958)."""
    if not times:
        return Curve((), ())
    curve = scipy.stats.ecdf(_censored(times, ended)).sf
    return Curve(tuple(map(float, curve.quantiles)), tuple(map(float, curve.probabilities)))


def logrank(a: Sequence[float], a_ended: Sequence[bool], b: Sequence[float], b_ended: Sequence[bool]) -> float | None:
    """The p-value of the log-rank test (Mantel, 1966) that both come to an end alike; None where it cannot be had."""
    if not (a and b and (any(a_ended) or any(b_ended))):
        return None
    with np.errstate(invalid="ignore"):  # all ended at one moment: nothing can be tested
        p = float(scipy.stats.logrank(_censored(a, a_ended), _censored(b, b_ended)).pvalue)
    return p if isfinite(p) else None


def pass_at(k: int, n: int, successes: int) -> float | None:
    """The chance that one of `k` attempts succeeds, unbiased (Chen et al., arXiv:2107.03374); None if k > n."""
    if not 0 < k <= n:
        return None
    return 1.0 - comb(n - successes, k) / comb(n, k)


def pass_all(k: int, n: int, successes: int) -> float | None:
    """The chance that all of `k` attempts succeed, pass^k (Yao et al., arXiv:2406.12045); None if k > n."""
    if not 0 < k <= n:
        return None
    return comb(successes, k) / comb(n, k)


def _censored(times: Sequence[float], ended: Sequence[bool]) -> scipy.stats.CensoredData:
    done = [time for time, end in zip(times, ended, strict=True) if end]
    running = [time for time, end in zip(times, ended, strict=True) if not end]
    return scipy.stats.CensoredData(uncensored=done, right=running)


def _bounds(curve: Any, events: int) -> tuple[Any, Any]:
    if not events:
        return curve, curve
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where no or all have ended the interval is undefined
        interval = curve.confidence_interval(LEVEL, method="log-log")
    return interval.low, interval.high


def _crossing(times: np.ndarray, shares: np.ndarray) -> float | None:
    """The first time at which a survival curve is at or below one half."""
    below = np.nonzero(np.nan_to_num(shares, nan=1.0) <= 0.5)[0]
    return float(times[below[0]]) if len(below) else None


def _seconds(value: float | None) -> str:
    return "∞" if value is None else f"{value:.1f}"


def kappa(pairs: Sequence[tuple[bool, bool]]) -> float | None:
    """Agreement of two raters beyond chance (J. Cohen, Educational and Psychological Measurement 20, 1960).

    None of no pairs, or where chance alone would let them agree always: one of them says the same of everything.
    """
    if not pairs:
        return None
    one, other = (sum(rater) / len(pairs) for rater in zip(*pairs, strict=True))
    if one in {0.0, 1.0} or other in {0.0, 1.0}:
        return None
    by_chance: float = one * other + (1 - one) * (1 - other)
    agree: float = sum(first == second for first, second in pairs) / len(pairs)
    return (agree - by_chance) / (1 - by_chance)
