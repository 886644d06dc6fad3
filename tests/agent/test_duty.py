"""An operator on duty."""

import asyncio
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from operatorlab.agent import Outcome, Step, StepKind
from operatorlab.agent.duty import Duty
from operatorlab.agent.printing import Printer
from operatorlab.clock import Instant
from operatorlab.errors import TimedOut


async def test_it_takes_incidents_as_they_come(watched: Any, kit: Any) -> None:
    brain = kit.Scripted(kit.message(kit.shell("touch up")), kit.citing())
    duty = Duty(watched.board, watched.operator(brain), poll_s=0.01)
    result = await duty.next(wait_s=10)
    assert result is not None
    assert result.outcome is Outcome.RESOLVED_VERIFIED
    with pytest.raises(TimedOut, match=r"no incident within 0\.1 s"):
        await duty.next(wait_s=0.1)


async def test_waiting_time_does_not_limit_the_work(watched: Any, kit: Any) -> None:
    brain = kit.Scripted(kit.message(kit.shell("sleep 0.6; touch up")), kit.citing())
    result = await Duty(watched.board, watched.operator(brain)).next(wait_s=0.3)
    assert result is not None
    assert result.outcome is Outcome.RESOLVED_VERIFIED


async def test_stopping_ends_the_wait(lab: Any, kit: Any) -> None:
    lab.board.hold(lab.board.tickets()[0].id, "ada")
    duty = Duty(lab.board, lab.operator(kit.Scripted()), poll_s=60)
    waiting = asyncio.create_task(duty.next())
    await asyncio.sleep(0)
    duty.stop()
    assert await asyncio.wait_for(waiting, 10) is None


def step(kind: StepKind, text: str, **more: Any) -> Step:
    return Step(kind, "01KASESSION00000000000ABCD", Instant(1.0, datetime(2026, 11, 23, tzinfo=UTC)), text, **more)


def test_hostile_text_is_shown_and_not_obeyed() -> None:
    out = io.StringIO()
    printer = Printer(json_lines=False, out=out)
    printer.step(step(StepKind.RESULT, "\x1b]0;owned\x07\x1b[2J\rok \u202e [bold]not markup[/bold]"))
    printer.step(step(StepKind.COMMAND, "ls\x08", reasoning="why\x1b[1A"))
    said = out.getvalue()
    assert not set(said) & set("\x1b\x07\x08\r\u202e")
    assert "[bold]not markup[/bold]" in said
    assert "$ ls" in said
    assert "# why" in said


def test_json_lines_can_be_read_by_programs() -> None:
    out = io.StringIO()
    printer = Printer(json_lines=True, out=out)
    printer.hello("for people only")
    printer.step(step(StepKind.RESULT, "two\nlines", command_id="c", exit_code=0, duration_s=0.5))
    (line,) = out.getvalue().splitlines()
    told = json.loads(line)
    assert (told["step"], told["text"], told["exit_code"], told["duration_s"]) == ("result", "two\nlines", 0, 0.5)


def test_a_reader_who_goes_away_does_not_stop_the_work() -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    printer = Printer(json_lines=False, out=Gone())
    printer.step(step(StepKind.THOUGHT, "one"))
    printer.step(step(StepKind.THOUGHT, "two"))
