"""Questions that outlive a reading, deadlines, and what a broken connection means."""

import asyncio
import errno
import time

import pytest

from subjects.ratelimiter.observer.questions import Questions
from subjects.ratelimiter.observer.silence import Kind, Silence, deadline, silence_of

HERE = ("127.0.0.1", 1)


@pytest.fixture
async def questions():
    questions = Questions()
    yield questions
    await questions.drop()


async def answer(value):
    return value


async def test_an_answer_in_time_is_given(questions):
    assert await questions.ask("a", lambda: answer(7), 0.5) == 7


async def test_a_late_answer_is_what_the_next_reading_gets(questions):
    release = asyncio.Event()
    asked = []

    async def slow():
        asked.append(1)
        await release.wait()
        return "late"

    first = await questions.ask("a", slow, 0.01)
    assert isinstance(first, Silence)
    assert first.kind is Kind.HUNG
    release.set()
    assert await questions.ask("a", slow, 0.5) == "late"
    assert len(asked) == 1
    assert await questions.ask("a", lambda: answer("new"), 0.5) == "new"


async def test_nothing_is_waited_for_once_it_is_known_that_nobody_runs(questions):
    frozen = asyncio.get_running_loop().create_future()
    asking = asyncio.create_task(questions.ask("a", asyncio.Event().wait, 60.0, frozen))
    await asyncio.sleep(0)
    frozen.set_result(None)
    seen = await asking
    assert isinstance(seen, Silence)
    assert seen.kind is Kind.FROZEN
    assert await questions.ask("b", lambda: answer(1), 0.5, frozen) == 1, "what is answered all the same counts"


async def test_questions_of_different_kinds_do_not_wait_for_each_other(questions):
    first = await questions.ask("node-1: ready", asyncio.Event().wait, 0.01)
    assert isinstance(first, Silence)
    assert await questions.ask("node-2: ready", lambda: answer(1), 0.5) == 1


async def test_an_observer_that_did_not_get_to_run_says_so_instead_of_blaming(questions):
    loop = asyncio.get_running_loop()
    loop.call_later(0.005, time.sleep, 0.2)
    seen = await questions.ask("a", asyncio.Event().wait, 0.01)
    assert isinstance(seen, Silence)
    assert seen.kind is Kind.UNSEEN


async def test_what_is_open_is_taken_back_at_the_end(questions):
    ended = asyncio.Event()

    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    await questions.ask("a", forever, 0.01)
    await questions.drop()
    assert ended.is_set()


async def test_a_bug_in_a_probe_is_not_taken_for_silence(questions):
    async def buggy():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await questions.ask("a", buggy, 0.5)


async def test_a_deadline_turns_into_silence():
    with pytest.raises(Silence) as silence:
        async with deadline(0.01):
            await asyncio.Event().wait()
    assert silence.value.kind is Kind.HUNG


def caused_by(cause: BaseException) -> Exception:
    """An error as an HTTP library raises it: the real cause is inside."""
    try:
        try:
            raise ExceptionGroup("all attempts failed", [cause])
        except ExceptionGroup as group:
            raise OSError("All connection attempts failed") from group
    except OSError as outer:
        return outer


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), Kind.REFUSED),
        (OSError(errno.EMFILE, "Too many open files"), Kind.UNSEEN),
        (ConnectionResetError(errno.ECONNRESET, "reset"), Kind.BROKEN),
    ],
)
def test_the_cause_decides_what_a_failed_connection_means(cause, kind):
    assert silence_of(caused_by(cause), HERE).kind is kind


def test_a_broken_connection_is_told_in_one_short_line():
    assert "\n" not in silence_of(ValueError("one\ntwo"), HERE).why
    assert len(silence_of(ValueError("x" * 5000), HERE).why) < 250
