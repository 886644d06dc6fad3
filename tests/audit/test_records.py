"""Runs, sessions, commands, model calls, faults and client samples: a row and its event, together."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from operatorlab.audit import AuditStore, ClientSample, ModelCall
from operatorlab.audit.records import OUTPUT_LIMIT, TABLE_OF, clip
from operatorlab.errors import UnknownName


def test_a_whole_run_leaves_its_rows_and_one_event_for_each_step(store: AuditStore, tell) -> None:
    history = tell(store)
    store.end_run(history.run, "down")
    assert store.counts() == {
        "runs": 1, "incidents": 1, "tickets": 1, "sessions": 1, "commands": 2, "model_calls": 1, "faults": 1,
        "client_samples": 1, "events": 15,
    }  # fmt: skip
    assert {event.kind for event in store.events()} == {*TABLE_OF, "ticket.opened", "clients.sampled"}
    assert all(event.run == history.run for event in store.events())
    of_session = [e.kind.split(".")[0] for e in store.events(session=history.session)]
    assert of_session == ["session", *["model_call"] * 2, *["command"] * 4, "session"]
    (run,) = store.rows("select * from runs")
    assert (run["seed"], run["owner_pid"], run["owner_started"], run["ended_how"]) == (7, 1, 2.5, "down")
    (session,) = store.rows("select * from sessions_v")
    assert (session["outcome"], session["commands"], session["mechanism"]) == (
        "resolved_verified", 2, "the process was killed",
    )  # fmt: skip
    assert session["took_s"] > 0
    (fault,) = store.rows("select * from faults_v")
    assert (fault["ticket"], fault["invariant"]) == (history.ticket, "node_down")
    assert fault["detect_s"] > 0


def test_a_model_call_keeps_its_usage_and_whose_price_it_is(store: AuditStore, tell) -> None:
    history = tell(store, ended=False)
    failed = store.begin_model_call(history.session, "opus")
    store.end_model_call(failed, ModelCall(0.5, error="overloaded"))
    first, second = store.rows("select * from model_calls order by started_at")
    assert (first["id"], first["priced_by"], first["cost_usd"]) == (history.call, "genai-prices", 0.0123)
    assert (first["input_tokens"], first["output_tokens"], first["stop_reason"]) == (1200, 80, "tool_use")
    assert (second["error"], second["cost_usd"], second["content"]) == ("overloaded", None, None)


def test_a_command_is_committed_before_it_starts(store: AuditStore, path: Path, tell) -> None:
    history = tell(store, ended=False)
    with AuditStore(path, environment={}) as other:
        (row,) = other.rows("select * from commands where ended_at is null")
    assert row["id"] == history.commands[1]
    assert (row["exit_code"], row["stdout"], row["duration_s"]) == (None, None, None)


def test_a_command_that_timed_out_says_so(store: AuditStore, tell) -> None:
    history = tell(store, ended=False)
    store.end_command(history.commands[1], None, 120.0, "", "partial", dropped_bytes=3, timed_out=True)
    (row,) = store.rows("select * from commands where timed_out")
    assert (row["exit_code"], row["duration_s"], row["dropped_bytes"], row["stderr"]) == (None, 120.0, 3, "partial")


def test_long_output_keeps_head_and_tail_and_counts_what_it_drops(store: AuditStore, tell) -> None:
    history = tell(store, ended=False)
    stdout = "HEAD" + "x" * (2 * OUTPUT_LIMIT) + "TAIL"
    store.end_command(history.commands[1], 0, 1.0, stdout, "y" * (OUTPUT_LIMIT + 5), dropped_bytes=10)
    (row,) = store.rows("select * from commands where id = :id", {"id": history.commands[1]})
    assert row["stdout"].startswith("HEADx")
    assert row["stdout"].endswith("xTAIL")
    assert OUTPUT_LIMIT <= len(row["stdout"]) < OUTPUT_LIMIT + 100
    assert row["dropped_bytes"] == 10 + OUTPUT_LIMIT + 8 + 5
    assert store.verify().ok


def test_clipping_cuts_between_characters() -> None:
    assert clip("short", 5) == ("short", 0)
    text, dropped = clip("é" * 100, 11)
    assert text == f"éé\n… {dropped} bytes not kept …\néé"
    assert dropped == 192


def test_what_has_ended_stays_as_it_ended(store: AuditStore, tell) -> None:
    history = tell(store)
    for again in (
        lambda: store.end_session(history.session, "escalated"),
        lambda: store.end_command(history.commands[0], 1, 0.0, "", ""),
        lambda: store.end_model_call(history.call, ModelCall(0.0)),
    ):
        with pytest.raises(ValueError, match="ended already"):
            again()
    healed = store.rows("select healed_at from faults")
    store.end_fault(history.fault)
    store.end_run(history.run, "down")
    store.end_run(history.run, "cleaned up")
    assert store.rows("select healed_at from faults") == healed
    assert store.rows("select ended_how from runs") == [{"ended_how": "down"}]
    assert store.verify().ok


def test_unknown_ids_are_refused_by_name(store: AuditStore, tell) -> None:
    tell(store)
    for name, call in {
        "session": lambda: store.begin_command("nobody", "ls", "look"),
        "command": lambda: store.end_command("nobody", 0, 0.0, "", ""),
        "run": lambda: store.end_run("nobody", "down"),
        "fault": lambda: store.set_fault_memo("nobody", {}),
    }.items():
        with pytest.raises(UnknownName, match=f"no {name} is called 'nobody'"):
            call()
    with pytest.raises(sqlite3.IntegrityError):
        store.begin_session("nobody", "nothing", "claude", "opus", 1)
    assert store.verify().ok


def test_only_sessions_of_dead_processes_are_closed(store: AuditStore, tell) -> None:
    dead, alive, done = (
        tell(store, f"ratelimiter-{name}", ended=ended)
        for name, ended in [("aaa", False), ("bbb", False), ("ccc", True)]
    )
    pids = iter([4242, 4243])
    asked: list[int] = []

    def is_alive(pid: int) -> bool:
        asked.append(pid)
        return next(pids) == 4243

    assert store.close_dead_sessions(is_alive) == [dead.session]
    assert asked == [4242, 4242]
    outcomes = {row["id"]: row["outcome"] for row in store.rows("select id, outcome from sessions")}
    assert outcomes == {dead.session: "crashed", alive.session: None, done.session: "resolved_verified"}
    (event,) = store.events(session=dead.session, kinds=["session.ended"])
    assert event.payload["outcome"] == "crashed"
    assert store.verify().ok


def test_client_samples_share_one_event(store: AuditStore) -> None:
    store.begin_run("r-1", "ratelimiter", "processes", "/")
    at = datetime(2026, 11, 1, tzinfo=UTC)
    samples = [ClientSample(at, float(n), 1.0, 10, 9, 1, 0, 0.001, None) for n in range(100)]
    assert store.add_client_samples("r-1", samples) == 100
    assert store.add_client_samples("r-1", []) == 0
    (event,) = store.events(kinds=["clients.sampled"])
    assert event.payload["samples"] == 100
    assert store.rows("select sum(sent) as sent, max(mono) as last from client_samples") == [
        {"sent": 1000, "last": 99.0}
    ]


def test_a_row_is_not_written_without_its_event(store: AuditStore, tell) -> None:
    history = tell(store, ended=False)
    before = store.counts()
    store.db.execute("create trigger no_more before insert on events begin select raise(abort, 'no more'); end")
    with pytest.raises(sqlite3.IntegrityError, match="no more"):
        store.begin_command(history.session, "ls", "look")
    with pytest.raises(sqlite3.IntegrityError, match="no more"):
        store.end_session(history.session, "escalated")
    assert store.counts() == before
    assert store.rows("select outcome from sessions") == [{"outcome": None}]
