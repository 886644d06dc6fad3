"""`operatorlab agent run` as a program, on a real lab."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click
import psutil
import pytest
from click.testing import CliRunner

from operatorlab import Lab
from operatorlab.agent import Gate
from operatorlab.agent.brains import EFFORTS
from operatorlab.cli.agent import run
from operatorlab.errors import UnknownName, UserError


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATORLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OPERATORLAB_BOUNDARY", "none")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)


@pytest.fixture
async def broken() -> AsyncIterator[Lab]:
    """A rate limiter of which a node was killed, with its ticket open."""
    async with Lab("ratelimiter", load="none", grace_s=0, hold_s=0.5) as lab:
        await lab.inject("node_crash")
        await lab.next_ticket()
        yield lab


async def agent_run(*arguments: str) -> asyncio.subprocess.Process:
    program = (sys.executable, "-m", "operatorlab", "agent", "run", *arguments)
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*program, stdout=pipe, stderr=pipe, env=dict(os.environ))


async def test_once_repairs_one_incident_and_says_so(broken: Lab) -> None:
    process = await agent_run("--once", "--wait", "30")
    out, err = await process.communicate()
    assert process.returncode == 0, (out, err)
    assert err == b""
    said = out.decode()
    assert "runbook (deterministic, not a model) is on duty" in said
    assert "$ supervisorctl start" in said
    assert "outcome: resolved_verified" in said
    assert not broken.board.live()


async def test_what_is_not_verified_is_exit_code_1(broken: Lab) -> None:
    process = await agent_run("--once", "--brain", "noop", "--verify", "0.5", "--json", "--run", broken.run_id)
    out, _ = await process.communicate()
    assert process.returncode == 1
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["step"] for line in lines if "step" in line] == ["thought", "report", "outcome"]
    assert lines[-1]["outcome"] == "claimed_unverified"
    assert broken.store.rows("select * from commands") == []


@pytest.mark.parametrize(
    ("number", "outcome", "code"), [(signal.SIGTERM, "killed", 1), (signal.SIGINT, "interrupted", 130)]
)
async def test_a_signal_ends_the_command_and_is_recorded(
    broken: Lab, endpoint: Any, number: signal.Signals, outcome: str, code: int
) -> None:
    endpoint.command = "echo begun; sleep 314.15"
    given = ("--base-url", endpoint.url, "--effort", "low", "--gate", "deny_destructive", "--show-chars", "500")
    process = await agent_run("--once", "--brain", "claude", *given, "--allow-bare-host", "--json")
    assert process.stdout is not None
    async for line in process.stdout:
        if json.loads(line)["step"] == "command":
            break
    process.send_signal(number)
    await process.communicate()
    assert process.returncode == code
    (session,) = broken.store.rows("select * from sessions")
    assert session["outcome"] == outcome
    (command,) = broken.store.rows("select * from commands")
    assert command["ended_at"] is not None
    assert broken.board.tickets()[0].lease is None
    (equipped,) = broken.store.events(kinds=["session.equipped"])
    assert endpoint.seen[0][1]["output_config"] == equipped.payload["parameters"]["output_config"] == {"effort": "low"}
    assert equipped.payload["gate"] == "deny_destructive"
    assert equipped.payload["limits"]["shown_chars"] == 500
    told = json.dumps([body for _, body in endpoint.seen])
    assert "node_down" in told
    assert "node_crash" not in told
    assert "audit.db" not in told
    assert not [p for p in psutil.process_iter(["cmdline"]) if "314.15" in (p.info["cmdline"] or [])]


async def test_a_real_model_is_refused_before_anything_is_recorded(broken: Lab) -> None:
    process = await agent_run("--once", "--brain", "claude", "--base-url", "http://127.0.0.1:9")
    _, err = await process.communicate()
    assert process.returncode == 2
    assert b"--allow-bare-host" in err
    process = await agent_run("--brain", "claude", "--allow-bare-host")
    _, err = await process.communicate()
    assert process.returncode == 2
    assert b"export ANTHROPIC_API_KEY" in err
    assert broken.store.rows("select * from sessions") == []


def test_without_a_lab_it_says_how_to_get_one() -> None:
    result = CliRunner().invoke(run, [])
    assert isinstance(result.exception, UserError)
    assert "operatorlab up" in str(result.exception)


def test_an_unknown_lab_is_named() -> None:
    result = CliRunner().invoke(run, ["--run", "no-such-lab"])
    assert isinstance(result.exception, UnknownName)


@pytest.mark.parametrize(
    "option", ["--max-turns", "--max-tokens", "--max-cost", "--max-time", "--command-time", "--show-chars"]
)
def test_a_budget_of_nothing_is_a_usage_error(option: str) -> None:
    result = CliRunner().invoke(run, [option, "0"])
    assert result.exit_code == 2
    assert option in result.output


def test_every_effort_and_gate_can_be_chosen() -> None:
    choices = {option.name: option.type.choices for option in run.params if isinstance(option.type, click.Choice)}
    assert tuple(choices["effort"]) == EFFORTS
    assert tuple(choices["gate"]) == tuple(Gate)
