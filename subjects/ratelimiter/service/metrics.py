"""What a node tells Prometheus. One registry an app, so that two apps in one process do not mix."""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

_BUCKETS = (
    *(0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05),
    *(0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0),
)


class Outcome(StrEnum):
    """How one check ended."""

    ALLOWED = "allowed"
    DENIED = "denied"
    ALLOWED_WITHOUT_REDIS = "allowed_without_redis"
    DENIED_WITHOUT_REDIS = "denied_without_redis"


class NodeMetrics:
    """The counters of one node; every series of its own carries `node`."""

    def __init__(self, node: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # when each counter began: a fifth of the page, and nobody reads it
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        decisions = Counter(
            "ratelimiter_decisions", "Checks by how they ended.", ("node", "outcome"), registry=self._registry
        )
        seconds = Histogram(
            "ratelimiter_decision_seconds",
            "Seconds from a valid check to its decision, with or without Redis.",
            ("node",),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        errors = Counter("ratelimiter_redis_errors", "Calls to Redis that failed.", ("node",), registry=self._registry)
        ready = Gauge("ratelimiter_ready", "1 if the last call to Redis worked.", ("node",), registry=self._registry)
        self._decisions = {outcome: decisions.labels(node, outcome.value) for outcome in Outcome}
        self._seconds = seconds.labels(node)
        self._errors = errors.labels(node)
        self._ready = ready.labels(node)

    def decided(self, outcome: Outcome, seconds: float) -> None:
        """Count one check."""
        self._decisions[outcome].inc()
        self._seconds.observe(seconds)

    def redis_failed(self) -> None:
        """Count one failed call to Redis."""
        self._errors.inc()

    def set_ready(self, ready: bool) -> None:
        """Whether the node can do its work."""
        self._ready.set(1.0 if ready else 0.0)

    def exposition(self) -> bytes:
        """The text Prometheus reads."""
        return generate_latest(self._registry)
