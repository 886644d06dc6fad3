"""Who asks for what, and when: seeded, so that the same seed gives the same requests again.

Arrivals are open-loop: clients do not wait for one another, and a slow answer delays no other request.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

KEYS = ("tenant-a", "tenant-b", "tenant-c", *(f"user-{number}" for number in range(1, 28)))
"""The busiest first; the users are not listed in the limits file."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Requests a second on average, and how much the first keys are preferred (exponent of Zipf's law).

    With a `peak_rate`, every second half of each `period_s` runs at that rate instead.
    """

    rate: float
    skew: float = 1.0
    peak_rate: float | None = None
    period_s: float = 4.0

    def rate_at(self, offset_s: float) -> float:
        """Requests a second, `offset_s` seconds after the start."""
        in_peak = offset_s % self.period_s >= self.period_s / 2
        return self.peak_rate if self.peak_rate is not None and in_peak else self.rate

    @property
    def weights(self) -> list[float]:
        """How often each of KEYS is asked for, relative to one another."""
        return [1.0 / rank**self.skew for rank in range(1, len(KEYS) + 1)]


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "steady": Profile(rate=100, skew=1.1),  # 29 a second are tenant-a's: above its limit in nearly every window
        "burst": Profile(rate=40, peak_rate=200),
        "skewed": Profile(rate=100, skew=1.6),
        "full": Profile(rate=300),
    }
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request: seconds after the start, and its key."""

    offset_s: float
    key: str


def arrivals(profile: Profile, seed: int) -> Iterator[Arrival]:
    """The endless sequence of requests of `profile`, with exponential gaps."""
    chance = random.Random(seed)  # noqa: S311 — a repeatable load, not a secret
    cumulative = list(itertools.accumulate(profile.weights))
    offset_s = 0.0
    while True:
        offset_s += chance.expovariate(profile.rate_at(offset_s))
        yield Arrival(offset_s, chance.choices(KEYS, cum_weights=cumulative)[0])
