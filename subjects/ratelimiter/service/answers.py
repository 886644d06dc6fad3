"""Decisions that a node gives again for a while instead of asking Redis: quick, and as wrong as they are old."""

from __future__ import annotations

import time
from collections.abc import Callable

from subjects.ratelimiter.service.models import CheckAnswer

_MOST = 10_000


class Answers:
    """The last answer for each key, for `fresh_s` seconds; with 0 none is kept."""

    def __init__(self, fresh_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._fresh_s = fresh_s
        self._clock = clock
        self._given: dict[str, tuple[float, CheckAnswer]] = {}

    def find(self, key: str) -> CheckAnswer | None:
        """What was answered for `key` not long ago."""
        at, answer = self._given.get(key, (float("-inf"), None))
        return answer if self._clock() - at < self._fresh_s else None

    def keep(self, key: str, answer: CheckAnswer) -> None:
        """Remember what was answered; beyond ten thousand keys all is forgotten."""
        if not self._fresh_s:
            return
        if len(self._given) >= _MOST:
            self._given.clear()
        self._given[key] = self._clock(), answer
