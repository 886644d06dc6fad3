"""Time, passed in so that tests need not wait: wall time for people, monotonic seconds for durations."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, order=True)
class Instant:
    """One moment on both clocks. Ordered by the monotonic one, which all processes of a boot share."""

    monotonic: float
    at: datetime

    def since(self, earlier: Instant) -> float:
        """Seconds from `earlier` to here."""
        return self.monotonic - earlier.monotonic


class Clock(Protocol):
    """Says what time it is."""

    def now(self) -> Instant: ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> Instant:
        return Instant(time.monotonic(), datetime.now(UTC))
