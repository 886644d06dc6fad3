"""A rate limiter of real processes and an observer that looks at it, for each test that wants one."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from operatorlab.deploy.processes import ProcessDeployment
from operatorlab.subject import Invariant, Observation, Observer, Violation
from subjects.ratelimiter.invariants import INVARIANTS
from subjects.ratelimiter.observer import observe
from subjects.ratelimiter.observer.readings import Readings
from subjects.ratelimiter.subject import RateLimiter


@dataclass
class Watched:
    """A deployment, its observer, and all observations so far."""

    deployment: ProcessDeployment
    observer: Observer
    history: list[Observation]

    async def look(self) -> Observation:
        self.history.append(await self.observer.observe())
        return self.history[-1]

    async def look_until_broken(self, count: int) -> set[str]:
        """Look until that many troubles show; their fingerprints."""
        until = time.monotonic() + 10.0
        while time.monotonic() < until:
            await self.look()
            await asyncio.sleep(0.1)  # looks are paced: rules count seconds
            broken = {f.fingerprint for rule in INVARIANTS for f in self._check(rule) if isinstance(f, Violation)}
            if len(broken) >= count:
                return broken
        raise AssertionError(f"never {count} troubles; last seen {self.history[-1]}")

    def _check(self, rule: Invariant):
        since = self.history[-1].monotonic - rule.window_s
        return rule.check([seen for seen in self.history if seen.monotonic >= since], rule)


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("OPERATORLAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
async def deployment(own_home: Path) -> AsyncIterator[ProcessDeployment]:
    deployment = await ProcessDeployment.up(RateLimiter())
    try:
        yield deployment
    finally:
        await deployment.down()


@pytest.fixture
async def watched(deployment: ProcessDeployment) -> AsyncIterator[Watched]:
    async with observe(deployment) as observer:
        watched = Watched(deployment, observer, [])
        for _ in range(40):  # whole: on a busy machine the first readings do without Redis' totals
            seen = await watched.look()
            readings = Readings.of(seen)
            if RateLimiter().healthy(seen) and readings.counted_after.keys() == readings.nodes.keys():
                break
        yield watched
