"""Looking at the rate limiter from outside: `observe(deployment)` gives an `Observer` while its context lasts."""

from __future__ import annotations

from subjects.ratelimiter.observer.asking import Deadlines
from subjects.ratelimiter.observer.look import RateLimiterObserver, observe

__all__ = ["Deadlines", "RateLimiterObserver", "observe"]
