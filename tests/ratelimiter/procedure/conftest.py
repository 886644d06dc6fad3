"""Plays the procedure against a live system, through the shell and the words that operators get."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from operatorlab.agent.shown import read_back, show
from operatorlab.deploy.processes import ProcessDeployment
from operatorlab.procedure import Conclusion, Printed, Step
from subjects.ratelimiter.procedure import diagnose
from subjects.ratelimiter.subject import RateLimiter

LOOKING = ("supervisorctl status", "ps ", "for ", "timeout 2 redis-cli", "tail ", "cat <(", "sleep 1; cat <(")
"""How commands begin that change nothing."""


@dataclass
class Played:
    """What a procedure did, and what it concluded."""

    conclusion: Conclusion
    steps: list[tuple[Step, Printed]] = field(default_factory=list)

    @property
    def acted(self) -> list[str]:
        return [step.command for step, _ in self.steps if not step.command.startswith(LOOKING)]


async def _play(deployment: ProcessDeployment, incident: str) -> Played:
    """Run the procedure to its end; never more than a session's turns."""
    steps: list[tuple[Step, Printed]] = []
    playing = diagnose(incident)
    async with deployment.sandbox(deployment.folder / "audit.db") as sandbox:
        step = next(playing)
        while len(steps) < 39:
            result = await sandbox.exec(step.command, 60)
            printed, _ = read_back(show(result, "ABC123"))
            steps.append((step, printed))
            try:
                step = playing.send(printed)
            except StopIteration as done:
                return Played(done.value, steps)
    raise AssertionError(f"no conclusion after {len(steps)} steps: {[step.command for step, _ in steps]}")


def _ticket(invariant: str, component: str) -> str:
    """An incident's text, as operators get it."""
    return (
        "An incident with 1 ticket.\n\nticket: 7QX2MA\n"
        f"component: {component}\ninvariant: {invariant}\nseverity: critical\nmessage: it is broken\n"
    )


@pytest.fixture
def play() -> Callable[[ProcessDeployment, str], Awaitable[Played]]:
    return _play


@pytest.fixture
def ticket() -> Callable[[str, str], str]:
    return _ticket


@pytest.fixture
async def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProcessDeployment]:
    """The rate limiter, up and well."""
    monkeypatch.setenv("OPERATORLAB_HOME", str(tmp_path))
    deployment = await ProcessDeployment.up(RateLimiter())
    try:
        yield deployment
    finally:
        await deployment.down()
