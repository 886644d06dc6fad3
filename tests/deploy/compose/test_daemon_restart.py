"""The Docker daemon is stopped, or killed, and started in the middle of a trial, on a daemon of the test's own."""

import asyncio
import signal
from pathlib import Path

import pytest

from operatorlab import AuditStore, Lab
from operatorlab.deploy.ports import LOOPBACK
from operatorlab.monitor.tickets import TicketState
from operatorlab.subject import MemberState, NodeState

from .private_daemon import POOL, PrivateDaemon

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    # docker-py forgets the socket of each connection that was refused
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def daemon(containers, tmp_path_factory, monkeypatch):
    own = PrivateDaemon(tmp_path_factory.mktemp("dockerd"))
    try:
        own.open()
        monkeypatch.setenv("DOCKER_HOST", own.host)
        monkeypatch.setenv("OPERATORLAB_SUBNETS", POOL)
        yield own
    finally:
        own.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
async def test_a_daemon_that_is_away_blinds_the_lab_and_resolves_nothing(daemon: PrivateDaemon, how, lab_home: Path):
    async with Lab("ratelimiter", deployment="compose", load="none", grace_s=0, hold_s=1.0) as lab:
        assert lab.deployment.address("redis")[0] == LOOPBACK
        fault = await lab.inject("node_crash", target="node-2")
        ticket = await lab.next_ticket(timeout_s=10)
        assert (ticket.invariant, ticket.component) == ("node_down", "node-2")
        await asyncio.sleep(1.0)  # a fault is older than the daemon's end

        await asyncio.to_thread(daemon.end, how)
        async with asyncio.timeout(40):
            while not any(one.invariant == "observer_blind" for one in lab.board.live()):
                await lab.monitor.next_cycle()
        away = [await lab.monitor.next_cycle() for _ in range(8)]
        assert all(node.state is NodeState.UNKNOWN for cycle in away for node in cycle.observation.nodes)
        assert all(len(cycle.observation.blind) == 4 for cycle in away)
        assert all("Docker daemon" in blind.why for blind in away[-1].observation.blind)
        assert lab.board.ticket(ticket.id).is_live
        blamed = {one.invariant for one in lab.board.tickets()} - {"observer_blind"}
        assert blamed == {"node_down"}, "what cannot be seen is blamed on nobody"

        await asyncio.to_thread(daemon.start)
        async with asyncio.timeout(60):
            while lab.monitor.latest.observation.blind:
                await lab.monitor.next_cycle()
            while any(one.id != ticket.id for one in lab.board.live()):
                await lab.monitor.next_cycle()
        states = {name: await lab.deployment.state(name) for name in ("redis", "node-1", "node-2", "node-3")}
        assert states.pop("node-2") is MemberState.STOPPED
        assert set(states.values()) == {MemberState.RUNNING}
        assert lab.board.ticket(ticket.id).is_live
        assert await lab.active(fault)

        await lab.heal(fault)
        await lab.board.closed(ticket.incident, timeout_s=30)
        assert lab.board.ticket(ticket.id).state is TicketState.SELF_HEALED
        await lab.healthy()
        assert isinstance(lab.store, AuditStore)
        assert lab.store.verify().ok
