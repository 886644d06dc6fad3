"""`operatorlab tickets` on a real audit file."""

import asyncio
import json
import threading

import pytest
from click.testing import CliRunner
from lamps import RUN

from operatorlab.audit import AuditStore
from operatorlab.cli.tickets import tickets
from operatorlab.errors import BadParameter, TimedOut, UnknownName
from operatorlab.monitor.board import Board
from operatorlab.monitor.loop import Monitor
from operatorlab.monitor.tickets import Policy, Refused, TicketState
from operatorlab.subject import Violation


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("OPERATORLAB_HOME", str(tmp_path))
    with AuditStore() as store:
        store.begin_run(RUN, "lamps", "files", str(tmp_path))
        yield store


@pytest.fixture
def ticket(store, clock):
    board = Board(store, RUN, clock=clock)
    violation = Violation("lamp_off", "lamp-2", "it is \x1b[31moff\nreally", evidence={"file": "\x07gone"})
    (ticket,) = board.judge([violation], [], clock.forward(1))
    return ticket


@pytest.fixture
def lab_monitor(store, lamps, files):
    """A monitor at work in another thread, as in another process; call it to await the first ticket."""
    policy = Policy(hold_s=0.05, settle_s=0.5)
    opened, stop = threading.Event(), threading.Event()

    async def watch():
        with AuditStore() as own:
            monitor = Monitor(lamps, files, own, board=Board(own, RUN, policy), interval_s=0.02)
            task = asyncio.create_task(monitor.run())
            while not stop.is_set():
                if (await monitor.next_cycle()).changed:
                    opened.set()
            task.cancel()
            await asyncio.wait({task})

    def first_tickets():
        assert opened.wait(10)
        return Board(store, RUN).live()

    thread = threading.Thread(target=lambda: asyncio.run(watch()))
    thread.start()
    yield first_tickets
    stop.set()
    thread.join()


def run(*args, code=0):
    done = CliRunner().invoke(tickets, args, standalone_mode=False)
    if done.exception:
        raise done.exception
    assert (done.return_value or 0) == code
    return done.output


def test_the_list_is_the_default_and_shows_what_is_wrong_now(ticket):
    assert run() == run("list")
    header, row = run().splitlines()
    assert header.split("\t")[:2] == ["id", "state"]
    assert row.split("\t")[0] == ticket.id[-6:]
    assert "lamp_off/lamp-2" in row
    assert "it is ␛[31moff ⏎ really" in row
    assert "\x1b" not in run()


def test_nothing_to_list_says_where_to_look(store, ticket, clock):
    board = Board(store, RUN, Policy(hold_s=0), clock)
    board.judge([], [], clock.forward(1))
    assert run() == "No live tickets. Closed ones: operatorlab tickets list --all\n"
    for options in (["--all"], ["--run", RUN], ["--state", "self_healed"]):
        assert ticket.id[-6:] in run(*options)
    assert run("list", "--state", "escalated") == "No tickets.\n"


def test_tickets_of_a_run_that_ended_are_not_what_is_wrong_now(store, ticket):
    store.end_run(RUN, "stopped")
    assert "No live tickets" in run()
    assert ticket.id[-6:] in run("--all")


def test_the_list_as_json(ticket):
    (told,) = json.loads(run("--json"))
    assert (told["id"], told["state"], told["evidence"]) == (ticket.id, "open", {"file": "\x07gone"})
    assert json.loads(run("list", "--json", "-n", "1"))


def test_show_tells_a_ticket_and_its_story(store, ticket):
    shown = run("show", ticket.id[-6:].lower())
    assert "lamp_off/lamp-2" in shown
    assert "opened" in shown.split("What happened")[1]
    assert "\x1b" not in shown
    assert "\x07" not in shown
    told = json.loads(run("show", ticket.id, "--json"))
    assert [event["kind"] for event in told["events"]] == ["ticket.opened"]


def test_hold_and_release(store, ticket):
    board = Board(store, RUN)
    assert "is held by ada: no operator will take it" in run("hold", ticket.id, "--who", "ada", "-m", "mine")
    assert board.ticket(ticket.id).held_by == "ada"
    assert "held by ada" in run("show", ticket.id).replace("     ", " ")
    assert "held by nobody" in run("hold", ticket.id, "--release")
    assert board.ticket(ticket.id).held_by is None


def test_hold_says_by_itself_who_does_it(store, ticket):
    run("hold", ticket.id)
    assert Board(store, RUN).ticket(ticket.id).held_by


def test_resolve_is_a_claim_and_says_so_when_nobody_watches(store, ticket):
    told = run("resolve", ticket.id, "--who", "ada", "-m", "switched it on")
    assert "That is a claim: only the monitor resolves it." in told
    assert "No monitor watches this run" in told
    assert f"python -m operatorlab.monitor --subject lamps --run {RUN}" in told
    claimed = Board(store, RUN).ticket(ticket.id)
    assert (claimed.state, claimed.note) == (TicketState.VERIFYING, "ada: switched it on")
    with pytest.raises(Refused):
        run("resolve", ticket.id)


def test_waiting_for_a_verdict_where_nobody_looks_ends_in_time(ticket):
    with pytest.raises(TimedOut, match="lamp_off/lamp-2 is verifying"):
        run("resolve", ticket.id, "--wait", "0")


@pytest.mark.parametrize("repaired", [True, False])
def test_resolve_tells_the_verdict_of_the_monitor(store, files, lab_monitor, repaired):
    files.put("lamp-2", "off")
    (ticket,) = lab_monitor()
    mending = threading.Timer(0.1, files.put, ["lamp-2", "on" if repaired else "off"])
    mending.start()
    told = run("resolve", ticket.id, "--wait", "20", code=0 if repaired else 1)
    mending.join()
    assert "resolves it when it has seen the rule hold" in told
    verdict = "confirms: resolved." if repaired else "does not confirm: lamp-2 is off: it says off"
    assert told.endswith(f"{verdict}\n")


def test_what_does_not_exist_or_fit_is_a_clear_error(store, ticket):
    with pytest.raises(UnknownName, match="no ticket"):
        run("show", "ZZZZZZ")
    with pytest.raises(BadParameter):
        run("show", "..")
    with pytest.raises(UnknownName, match="no run"):
        run("list", "--run", "nope")
    with pytest.raises(Refused):
        run("hold", ticket.id, "--release")
