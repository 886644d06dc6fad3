"""Does a subject keep the contract? Tests that any author of a subject can run:

    pytest --pyargs operatorlab.testing.conformance --subject ./mine

They check what it declares, bring it up as real processes, look at it, and break and heal it with each of
its faults. They leave nothing running, and keep their files in a temporary folder.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from operatorlab.deploy.kin import kin
from operatorlab.deploy.processes import ProcessDeployment
from operatorlab.errors import OperatorLabError
from operatorlab.registry import find_subject
from operatorlab.subject import Fault, Json, NodeState, Observation, Observer, Subject, Undecided, Violation
from operatorlab.validate import ValidFault

T = TypeVar("T")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a fault and target, or a fault and its default target, where the subject can be loaded at all."""
    for argument, some in (("fault", slice(None)), ("default_fault", slice(1))):
        if argument in metafunc.fixturenames:
            aimed = _aimed(metafunc.config, some)
            metafunc.parametrize(argument, aimed, ids=[f"{fault.name}-{fault.target}" for fault in aimed])


class Running:
    """The subject, brought up, with its observer and the loop that they live in."""

    def __init__(
        self, runner: asyncio.Runner, deployment: ProcessDeployment, observer: Observer, patience_s: float
    ) -> None:
        self.patience_s = patience_s
        self.wait_for = runner.run
        self.deployment = deployment
        self.observer = observer

    def look(self) -> Observation:
        """One observation."""
        seen: object = self.wait_for(_awaited(self.observer.observe()))
        assert isinstance(seen, Observation), f"observe() must return an Observation, not {seen!r}"
        return seen

    def healthy(self) -> Observation:
        """Wait until the subject calls itself healthy."""
        until = time.monotonic() + self.patience_s
        while not self.deployment.subject.healthy(seen := self.look()):
            states = {node.name: f"{node.state} {node.reason}" for node in seen.nodes}
            assert time.monotonic() < until, f"not healthy after {self.patience_s} s: {states}, blind to {seen.blind}"
            time.sleep(0.05)
        return seen

    def active(self, fault: ValidFault, memo: Mapping[str, Json]) -> None:
        """Wait until the fault says that it is in force."""
        until = time.monotonic() + self.patience_s
        while not self.wait_for(fault.active(self.deployment, memo)):
            assert time.monotonic() < until, f"the fault is not in force after {self.patience_s} s"
            time.sleep(0.05)

    @contextmanager
    def made_new_on_failure(self) -> Iterator[None]:
        """Reset the subject if the block fails, so that one failure is not the cause of the next."""
        try:
            yield
        except BaseException:
            self.wait_for(self.deployment.reset())
            raise


@pytest.fixture(scope="module")
def subject(request: pytest.FixtureRequest) -> Subject:
    """The subject under test."""
    return _load(request.config)


@pytest.fixture(scope="module")
def running(
    subject: Subject, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """The subject, up and observed, for all tests; every process is gone afterwards."""
    before = os.environ.get("OPERATORLAB_HOME")
    os.environ["OPERATORLAB_HOME"] = str(tmp_path_factory.mktemp("operatorlab"))
    try:
        with asyncio.Runner() as runner:
            deployment = runner.run(ProcessDeployment.up(subject))
            try:
                observing = subject.observer(deployment)
                observer = runner.run(_awaited(observing.__aenter__()))
                try:
                    yield Running(runner, deployment, observer, request.config.getoption("--patience"))
                finally:
                    runner.run(_awaited(observing.__aexit__(None, None, None)))
            finally:
                runner.run(deployment.down())
        assert not kin(deployment.record), "processes were left"
    finally:
        if before is None:
            del os.environ["OPERATORLAB_HOME"]
        else:
            os.environ["OPERATORLAB_HOME"] = before


def test_contract(request: pytest.FixtureRequest) -> None:
    """What the subject declares keeps the contract; every breach is named."""
    _load(request.config)


def test_healthy(running: Running) -> None:
    """It comes up, is seen whole, and no invariant is broken in good health."""
    seen = running.healthy()
    members = running.deployment.subject.members
    assert [(node.name, node.role) for node in seen.nodes] == [(member.name, member.role) for member in members], (
        "an observation tells of every member, in the order in which they are declared"
    )
    assert seen.duration_s >= 0
    assert seen.at.utcoffset() is not None, "`at` needs a time zone"
    for rule in running.deployment.subject.invariants:
        for finding in rule.check((seen,), rule):
            assert isinstance(finding, Violation | Undecided), f"{rule.name} found {finding!r}"
            assert not isinstance(finding, Violation), f"{rule.name} is broken in good health: {finding.message}"


def test_briefing(running: Running) -> None:
    """The operator is told something, and no fault's name is in it."""
    told = running.deployment.subject.briefing(running.deployment)
    assert told.strip()
    assert not [fault.name for fault in running.deployment.subject.faults if fault.name in told]


def test_fault(running: Running, fault: Fault) -> None:
    """The fault does what it says and can be undone, twice; then everything is well again."""
    running.healthy()
    valid, deployment = ValidFault(fault), running.deployment
    with running.made_new_on_failure():
        memo = running.wait_for(valid.inject(deployment))
        running.active(valid, memo)
        running.wait_for(valid.heal(deployment, memo))
        assert not running.wait_for(valid.active(deployment, memo)), "still in force after heal()"
        running.wait_for(valid.heal(deployment, memo))
        running.healthy()


def test_heal_after_a_reset(running: Running, default_fault: Fault) -> None:
    """`heal` works where the system was made anew meanwhile."""
    valid, deployment = ValidFault(default_fault), running.deployment
    with running.made_new_on_failure():
        memo = running.wait_for(valid.inject(deployment))
        running.wait_for(deployment.reset())
        running.wait_for(valid.heal(deployment, memo))
        running.healthy()


def test_honest_when_all_is_killed(running: Running) -> None:
    """With every member killed, an observation still comes: each member is in it and none is up."""
    running.healthy()
    members = [member.name for member in running.deployment.subject.members]
    try:
        for member in members:
            running.wait_for(running.deployment.kill(member))
        seen = running.look()
        assert sorted(node.name for node in seen.nodes) == sorted(members), "a member that vanishes is down, not absent"
        assert not [node.name for node in seen.nodes if node.state is NodeState.UP]
        assert not running.deployment.subject.healthy(seen)
        for rule in running.deployment.subject.invariants:
            assert all(isinstance(finding, Violation | Undecided) for finding in rule.check((seen,), rule))
    finally:
        running.wait_for(running.deployment.reset())
    running.healthy()


def _load(config: pytest.Config) -> Subject:
    chosen = config.getoption("--subject")
    if not chosen:
        raise pytest.UsageError("say which subject: pytest --pyargs operatorlab.testing.conformance --subject ./mine")
    return find_subject(Path(chosen) if Path(chosen).exists() else chosen)


def _aimed(config: pytest.Config, some: slice) -> list[Fault]:
    try:
        found = _load(config)
    except OperatorLabError:  # test_contract tells
        return []
    return [fault(target) for fault in found.faults for target in fault.targets(found)[some]]


async def _awaited(work: Awaitable[T]) -> T:
    return await work
