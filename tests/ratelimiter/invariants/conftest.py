"""Hand-made histories: a film of observations, half a second apart, of a rate limiter that is well unless told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from operatorlab.subject import Blind, Invariant, Node, NodeState, Observation, Undecided, Violation
from subjects.ratelimiter.invariants import INVARIANTS
from subjects.ratelimiter.limits import CANARY, DECLARED
from subjects.ratelimiter.observer.readings import CanaryCheck, Histogram, KeyWindow, NodeCounts, Readings, RedisReading

NODES = ("node-1", "node-2", "node-3")
BOUNDS = (0.05, 0.1, 0.5)
LOOK_S = 0.02
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Counters:
    """What one node and Redis have counted so far."""

    started: float = 100.0
    allowed: int = 0
    counted: int = 0
    quick: int = 0
    slow: int = 0
    errors: int = 0

    def counts(self) -> NodeCounts:
        total = self.quick + self.slow
        latency = Histogram(BOUNDS, (self.quick, self.quick, total), total)
        return NodeCounts(
            started=self.started,
            allowed=self.allowed,
            denied=0,
            allowed_without_redis=0,
            denied_without_redis=0,
            redis_errors=self.errors,
            latency=latency,
        )


@dataclass
class Film:
    """Frames so far, and the counters that go on from frame to frame."""

    step_s: float = 0.5
    frames: list[Observation] = field(default_factory=list)
    nodes: dict[str, Counters] = field(default_factory=lambda: {name: Counters() for name in NODES})
    redis_run: str = "run-1"
    now: float = 1000.0
    silent_since: dict[str, float] = field(default_factory=dict)

    def serve(self, *names: str, allowed: int = 20, counted: int | None = None, slow: int = 0, quick: int = 60) -> None:
        """Traffic since the last frame, of these nodes or of all."""
        for name in names or NODES:
            node = self.nodes[name]
            node.allowed += allowed
            node.counted += allowed if counted is None else counted
            node.quick += quick
            node.slow += slow

    def frame(
        self,
        *,
        down: Mapping[str, str] | None = None,
        unready: Sequence[str] = (),
        unknown: Sequence[str] = (),
        unseen: Sequence[str] = (),
        blind: Sequence[tuple[str, str]] = (),
        keys: Mapping[str, tuple[int, int] | tuple[int, int, float]] | None = None,
        canary: Sequence[tuple[str, bool | None]] | None = None,
        in_flight: int = 3,
        registered: Sequence[str] = NODES,
    ) -> "Film":
        """Add a frame. `unseen` are members whose numbers are missing; `keys`: (allowed, limit in force, s ahead).

        `canary` says who answered what; unless told, one check passes in the first frame of each second.
        """
        gone = {**(down or {})}
        if canary is None:
            canary = (("node-1", len(self.frames) * self.step_s % 1.0 == 0), ("node-2", False))
        redis = not ({"redis"} & (gone.keys() | set(unseen) | set(unknown)))
        members = [self._member(name, gone, unready, unknown) for name in (*NODES, "redis")]
        hidden = gone.keys() | set(unseen) | set(unknown)
        windows = {key: KeyWindow(*(keys or {}).get(key, (0, limit))) for key, limit in DECLARED.items()}
        compared = {name: node.counted for name, node in self.nodes.items() if redis and name not in hidden}
        readings = Readings(
            {name: node.counts() for name, node in self.nodes.items() if name not in hidden},
            RedisReading(self.redis_run, windows, tuple(registered)) if redis else None,
            tuple(CanaryCheck(name, 2, self.now, self.now + 0.01, allowed) for name, allowed in canary),
            compared,
            {name: counted + in_flight for name, counted in compared.items()},
        )
        spots = tuple(Blind(what, component, "no answer") for what, component in blind)
        for node in self.nodes.values():  # what came in while it was looked at
            node.allowed += in_flight
            node.counted += in_flight
        at = START + timedelta(seconds=self.now)
        self.frames.append(Observation(at, self.now, LOOK_S, tuple(members), readings.to_json(), spots))
        self.now += self.step_s
        return self

    def _member(self, name: str, down: Mapping[str, str], unready: Sequence[str], unknown: Sequence[str]) -> Node:
        role = name.partition("-")[0]
        if name not in down:
            self.silent_since.pop(name, None)
        if name in unknown:
            return Node(name, role, NodeState.UNKNOWN, "the observer was held up")
        if name in down:
            silent_s = self.now + LOOK_S - self.silent_since.setdefault(name, self.now)
            facts = {"silence": down[name], "silent_s": silent_s}
            return Node(name, role, NodeState.DOWN, f"{down[name]}: no answer", facts)
        if name in unready:
            return Node(name, role, NodeState.DEGRADED, "redis: timeout after 0.25 s", {"ready": False})
        return Node(name, role, NodeState.UP, "", {"ready": True})

    def well(self, seconds: float = 6.0) -> "Film":
        """That long of healthy traffic."""
        for _ in range(round(seconds / self.step_s)):
            self.serve()
            self.frame(keys={key: (limit, limit) for key, limit in DECLARED.items() if key != CANARY})
        return self


@dataclass(frozen=True)
class Verdict:
    """What one rule found, by component."""

    broken: Mapping[str, Violation]
    undecided: Mapping[str, Undecided]


def judge(film: Film, name: str) -> Verdict:
    """Check one rule on the frames within its window, as the monitor does."""
    rule = named(name)
    since = film.frames[-1].monotonic - rule.window_s
    found = list(rule.check([frame for frame in film.frames if frame.monotonic >= since], rule))
    return Verdict(
        {f.component: f for f in found if isinstance(f, Violation)},
        {f.component: f for f in found if isinstance(f, Undecided)},
    )


def named(name: str) -> Invariant:
    return next(rule for rule in INVARIANTS if rule.name == name)


@pytest.fixture
def film() -> Film:
    return Film()


@pytest.fixture
def verdict():
    return judge


@pytest.fixture
def rules() -> tuple[Invariant, ...]:
    return INVARIANTS
