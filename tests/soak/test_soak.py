"""The soak on a small real lab: it lives through every phase, counts, and tells a false ticket from a true one."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from operatorlab import Lab
from operatorlab.cli import root
from operatorlab.clock import Instant
from operatorlab.monitor.judging import Patience
from operatorlab.monitor.tickets import Ticket, TicketState
from operatorlab.soak import Away, PhaseReport, SoakReport, soak
from operatorlab.soak.benign import phases
from operatorlab.subject import Severity
from subjects.ratelimiter.subject import RateLimiter

KETTLE = str(Path(__file__).parents[1] / "monitor" / "kettle")


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("OPERATORLAB_HOME", str(tmp_path / "home"))


def instant(monotonic):
    return Instant(monotonic, datetime(2026, 1, 1, tzinfo=UTC))


def ticket(component="node-1", violated=10.0):
    return Ticket("T1", "run", "I1", "node_down", component, Severity.CRITICAL, TicketState.OPEN, "is down",
                  instant(violated), instant(violated), instant(violated))  # fmt: skip


def report(tickets, away=()):
    phase = PhaseReport("rolling restart", 40, 20.0, away=list(away), tickets=tickets)
    return SoakReport("run", (PhaseReport("no load", 60, 30.0), phase), {"node_down": Patience(1.0)})


# ── the report ─────────────────────────────────────────────────────────────────────────────────


def test_no_ticket_is_a_clean_soak():
    clean = report([])
    assert (clean.ok, clean.windows, clean.lasted_s) == (True, 100, 50.0)
    assert clean.lines() == ["0 false tickets in 100 windows (looks, each judged by 1 rules) and 0.8 minutes"]


@pytest.mark.parametrize(
    ("away", "false"),
    [
        (Away("node-1", 9.9, 11.0), 0),  # longer than the grace, and it was seen
        (Away("node-1", 9.9, 10.5), 1),  # shorter: no ticket should have opened
        (Away("node-2", 9.9, 11.0), 1),  # another member
        (Away("node-1", 1.0, 8.0), 1),  # long before
        (Away("node-1", 11.0, 15.0), 1),  # after
    ],
)
def test_a_ticket_is_true_only_if_its_member_was_away_for_longer_than_the_grace(away, false):
    found = report([ticket()], [away])
    assert (len(found.false), len(found.true)) == (false, 1 - false)
    assert found.ok is (false == 0)
    assert any("node_down/node-1" in line for line in found.lines()), "both are told"


# ── on real labs ───────────────────────────────────────────────────────────────────────────────


def test_the_rate_limiter_has_a_phase_for_every_load_and_every_deed():
    assert [phase.name for phase in phases(RateLimiter())] == [
        "no load", "steady load", "burst load", "skewed load", "full load",
        "rolling restart", "brief pauses", "alarming logs",
    ]  # fmt: skip


async def test_a_ticket_that_nothing_benign_explains_is_false():
    lab = Lab(KETTLE, load="none", interval_s=0.05, grace_s=0.0)
    accidents = []

    async def accident():
        await lab.deployment.kill("kettle")
        while not lab.board.live():
            await lab.monitor.next_cycle()
        await lab.deployment.start("kettle")

    def tell(line):
        if not accidents:
            accidents.append(asyncio.get_running_loop().create_task(accident()))

    found = await soak(lab, tell=tell, shortest_s=1.0)
    await accidents[0]
    assert [ticket.fingerprint for ticket in found.false][:1] == ["cold/kettle"]
    assert not found.ok
    assert found.phases[0].broken["cold/kettle"] > 0


async def test_every_phase_is_lived_through_until_enough_windows_were_judged():
    found = await soak(Lab(KETTLE, load="none", interval_s=0.1), windows=30, shortest_s=0.5)
    assert found.ok, found.lines()
    assert found.windows >= 30
    assert [phase.name for phase in found.phases] == ["no load", "rolling restart", "brief pauses", "alarming logs"]
    assert found.phases[2].away, "the kettle was paused"
    assert not found.phases[1].away, "there is only one of it"


@pytest.mark.slow
def test_the_command_says_what_it_saw_and_ends_with_zero_if_nothing_opened():
    told = CliRunner().invoke(root, ["monitor", "soak", KETTLE, "--windows", "1", "--json"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["false_tickets"] == []
