"""What one look at the rate limiter reads: the typed content of `Observation.readings`.

The observer hands it on as `Told`; invariants read it back with `Readings.of`. To everybody else it is plain JSON,
so that a stored observation can be judged again later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import cast

from pydantic import TypeAdapter

from operatorlab.subject import Json, Observation


@dataclass(frozen=True, slots=True)
class Histogram:
    """Cumulative counts: `counts[i]` requests took at most `bounds[i]` seconds; `total` is all of them.

    Whole numbers, as the floats that Prometheus makes of them.
    """

    bounds: tuple[float, ...]
    counts: tuple[float, ...]
    total: float


@dataclass(frozen=True, slots=True)
class NodeCounts:
    """What a node says of itself since it started."""

    started: float  # Unix seconds
    allowed: int
    denied: int
    allowed_without_redis: int
    denied_without_redis: int
    redis_errors: int
    latency: Histogram


@dataclass(frozen=True, slots=True)
class KeyWindow:
    """One declared key as Redis holds it: allowed in the window that ends now, and the limit in force.

    `ahead_s`: by how much the latest request that counts is ahead of the clock of Redis.
    """

    allowed: int
    limit: int
    ahead_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RedisReading:
    """What Redis told the observer. `run_id` changes when Redis restarts."""

    run_id: str
    keys: Mapping[str, KeyWindow] = field(default_factory=dict)
    registered: tuple[str, ...] = ()  # whose heartbeats are in the registry, dead or alive


@dataclass(frozen=True, slots=True)
class CanaryCheck:
    """One check on the canary key: monotonic seconds around it, and the answer (None: there was no decision).

    It asks for `cost` of the limit at once.
    """

    node: str
    cost: int
    sent: float
    answered: float
    allowed: bool | None


@dataclass(frozen=True, slots=True)
class Readings:
    """All of one look. A member that is missing in `nodes`, or a `redis` of None, was not seen.

    `counted_before` and `counted_after` are how many requests Redis counted as allowed by each node, read just before
    and just after the node's own counters. Whoever is in one is in the other; who is in neither cannot be compared.
    """

    nodes: Mapping[str, NodeCounts] = field(default_factory=dict)
    redis: RedisReading | None = None
    canary: tuple[CanaryCheck, ...] = ()
    counted_before: Mapping[str, int] = field(default_factory=dict)
    counted_after: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, observation: Observation) -> Readings:
        """The readings of `observation`; pydantic.ValidationError if it is not one of the rate limiter."""
        told = observation.readings
        if type(told) is Told:  # asked for every node of every look: quicker than isinstance
            return told.readings
        return _adapter().validate_python(dict(observation.readings))

    def to_json(self) -> dict[str, Json]:
        """Plain JSON for `Observation.readings`."""
        return cast("dict[str, Json]", _adapter().dump_python(self, mode="json"))


class Told(Mapping[str, Json]):
    """Readings as JSON. It is made when somebody wants it: rules, which look at every node each time, do not."""

    def __init__(self, readings: Readings) -> None:
        self.readings = readings

    @cached_property
    def _json(self) -> dict[str, Json]:
        return self.readings.to_json()

    def __getitem__(self, name: str) -> Json:
        return self._json[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._json)

    def __len__(self) -> int:
        return len(self._json)


@cache  # building it costs milliseconds, which importing the subject should not
def _adapter() -> TypeAdapter[Readings]:
    return TypeAdapter(Readings)
