"""`operatorlab audit`, as a user runs it."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from operatorlab.audit import AuditStore
from operatorlab.cli.audit import audit
from operatorlab.errors import AuditCorrupt, BadParameter, UnknownName

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `operatorlab audit …` on the store of this test; errors come through as they are."""

    def run(*arguments: str) -> Result:
        environment = {"OPERATORLAB_HOME": str(tmp_path)}
        return CliRunner().invoke(audit, arguments, env=environment, catch_exceptions=False)

    return run


def test_list_is_the_default_and_shows_the_newest_first(store: AuditStore, run: Run, tell) -> None:
    tell(store, "ratelimiter-aaaaaa")
    tell(store, "ratelimiter-bbbbbb", ended=False)
    header, *lines = run().output.splitlines()
    assert header.split("\t")[:4] == ["when (UTC)", "session", "run", "tickets"]
    assert [line.split("\t")[2] for line in lines] == ["ratelimiter-bbbbbb", "ratelimiter-aaaaaa"]
    assert "node_down/node-2 open\tclaude\trunning" in lines[0]
    assert "resolved_verified\t2" in lines[1]
    assert run("list").output == run().output
    assert len(run("-n", "1").output.splitlines()) == 2
    assert len(run("list", "-n", "0").output.splitlines()) == 3


def test_list_shows_an_incident_that_nobody_has_taken(store: AuditStore, run: Run) -> None:
    store.begin_run("r-1", "x", "processes", "/")
    with store.atomic() as db:
        db.execute("insert into incidents(id, run, opened_at, opened_mono) values ('i-1', 'r-1', '2026-11-01T00', 1)")
    assert "nobody yet" in run().output
    (told,) = json.loads(run("--json").output)
    assert (told["incident"], told["session"], told["outcome"], told["tickets"]) == ("i-1", None, None, {})


def test_list_on_an_empty_file_says_so(store: AuditStore, run: Run) -> None:
    assert run().output == "No incidents yet.\n"
    assert run("show").output == "No session yet.\n"
    assert json.loads(run("--json").output) == []


def test_show_tells_the_story_in_order(store: AuditStore, run: Run, tell) -> None:
    history = tell(store)
    told = run("show").output
    expected = [
        f"session {history.session}  resolved_verified",
        "claude (opus) on ratelimiter",
        "node_down/node-2  open",
        "0.50 s after it began",
        "opus: 1.5 s, 1,200 + 80 tokens, $0.0123 (genai-prices)",
        "  node-2 does not answer",
        "  I look first.",
        "$ supervisorctl status",
        "  why: see which processes run",
        "  | node-2 EXITED",
        f"  exit 0, 0.25 s  ({history.commands[0][-6:]})",
        "$ supervisorctl start node-2",
        "outcome: resolved_verified",
        "  blamed:\n    - node-2\n  mechanism: the process was killed",
    ]
    places = [told.find(text) for text in expected]
    assert -1 not in places, [text for text, place in zip(expected, places, strict=True) if place == -1]
    assert places == sorted(places)
    assert run("show", "-r").output == told[told.index("outcome:") :]


def test_show_finds_a_session_by_any_id_that_leads_to_it(store: AuditStore, run: Run, tell) -> None:
    history = tell(store, "ratelimiter-aaaaaa")
    other = tell(store, "ratelimiter-bbbbbb")
    told = run("show", history.session).output
    for id_ in (
        history.session[-6:],
        history.session[-6:].lower(),
        history.ticket,
        history.incident,
        history.run,
        "er-aaaaaa",
    ):
        assert run("show", id_).output == told
    assert other.session not in told
    with pytest.raises(UnknownName, match="'zzzz'"):
        run("show", "zzzz")
    with pytest.raises(BadParameter, match="fits 2 ids"):
        run("show", "ratelimiter-")
    with pytest.raises(UnknownName):
        run("show", history.session[-1:])
    with pytest.raises(UnknownName):
        run("show", "%%%%%%")


def test_show_marks_a_command_that_never_ended(store: AuditStore, run: Run, tell) -> None:
    history = tell(store, ended=False)
    told = run("show").output
    assert f"started, never ended  ({history.commands[1][-6:]})" in told
    assert "still running" in told
    assert "no report" in told


def test_show_folds_long_output_unless_told_otherwise(store: AuditStore, run: Run, tell) -> None:
    history = tell(store, ended=False)
    store.end_command(history.commands[1], None, 9.0, "\n".join(f"line {n}" for n in range(100)), "", timed_out=True)
    told = run("show").output
    assert "| line 11\n  | … 76 lines, shown by --full …\n  | line 88\n" in told
    assert "timed out, 9.00 s" in told
    assert "| line 50\n" not in told
    assert "| line 50\n" in run("show", "--full").output


def test_stored_control_characters_are_shown_not_obeyed(store: AuditStore, run: Run, tell) -> None:
    history = tell(store, ended=False)
    evil = "\x1b[2J\x1b]0;title\x07 \x9b31m \u202eback"
    store.end_command(history.commands[1], 0, 0.1, evil, evil)
    store.append("said", {"text": evil}, session=history.session)
    store.end_session(history.session, "escalated", {evil: [evil]}, evil)
    assert store.begin_session(history.run, history.incident, "human", evil, None)
    for arguments in (
        ["show", history.run], ["show", "--json", history.run], ["list"], ["list", "--json"],
        ["query", "select stdout, stdout as [a\x1bb] from commands"], ["export", "--run", history.run],
    ):  # fmt: skip
        told = run(*arguments).output
        assert [c for c in told if c in "\x1b\x07\x9b\u202e"] == []
    assert "␛[2J␛]0;title␇" in run("show", history.run).output


def test_show_as_json_has_everything(store: AuditStore, run: Run, tell) -> None:
    history = tell(store)
    store.append("tool.refused", {"why": "no"}, session=history.session)
    (told,) = json.loads(run("show", "--json").output)
    assert told["session"]["report"]["blamed"] == ["node-2"]
    assert [command["id"] for command in told["commands"]] == list(history.commands)
    assert told["model_calls"][0]["content"][1]["text"] == "I look first."
    assert told["events"][0]["kind"] == "tool.refused"
    assert json.loads(run("show", "-r", "--json").output)[0]["outcome"] == "resolved_verified"


def test_path_needs_no_file(run: Run, path: Path) -> None:
    assert run("path").output == f"{path}\n"
    assert json.loads(run("path", "--json").output) == {"path": str(path)}
    assert not path.exists()
    with pytest.raises(BadParameter, match="no audit file"):
        run("status")
    assert not path.exists()


def test_status_counts_and_gives_the_head(store: AuditStore, run: Run, tell) -> None:
    tell(store)
    told = run("status")
    assert told.exit_code == 0
    assert "commands\t2" in told.output
    assert f"head {store.head()}" in told.output
    as_json = json.loads(run("status", "--json").output)
    assert as_json["counts"] == store.counts()
    assert as_json["chain"]["ok"] is True
    assert as_json["bytes"] > 0


def test_status_and_verify_end_with_4_when_the_chain_is_broken(store: AuditStore, run: Run, path: Path, tell) -> None:
    tell(store)
    head = store.head()
    assert run("verify", "--head", head).exit_code == 0
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("drop trigger events_are_never_changed")
        raw.execute("update events set kind = 'another' where seq = 4")
        raw.commit()
    for command in ("status", "verify"):
        told = run(command)
        assert told.exit_code == 4
        assert "BROKEN at event 4" in told.output
        assert json.loads(run(command, "--json").output)["chain"]["broken_at"] == 4


def test_verify_notices_a_cut_tail_by_the_head(store: AuditStore, run: Run) -> None:
    store.append("noted", {})
    assert run("verify", "--head", "7:abc").exit_code == 4
    assert "tail was cut off" in run("verify", "--head", "7:abc").output


def test_query_prints_tables_csv_and_json(store: AuditStore, run: Run, tell) -> None:
    history = tell(store)
    sql = "select id, exit_code, stdout, null as blank from commands order by started_at"
    assert run("query", sql).output.splitlines()[1] == f"{history.commands[0]}\t0\tnode-1 RUNNING node-2 EXITED\t"
    as_csv = list(csv.DictReader(io.StringIO(run("query", sql, "--csv").output)))
    assert as_csv[0]["stdout"].splitlines() == ["node-1 RUNNING", "node-2 EXITED"]
    assert json.loads(run("query", sql, "--json").output)[1]["stdout"] == "node-2: started\n"
    assert run("query", "select 1 where false").output == ""


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("delete from runs", "only read"),
        ("insert into runs select * from runs returning id", "only read"),
        ("drop table runs", "only read"),
        ("attach 'x.db' as x", "returns rows"),
        ("vacuum", "returns rows"),
        ("select * from nowhere", "no such table: nowhere"),
        ("selct", "syntax error"),
        ("select 1; select 2", "one statement"),
    ],
)
def test_query_only_reads(store: AuditStore, run: Run, tell, sql: str, what: str) -> None:
    tell(store)
    before = store.counts()
    with pytest.raises(BadParameter, match=what):
        run("query", sql)
    assert store.counts() == before


def test_backup_copies(store: AuditStore, run: Run, tmp_path: Path, tell) -> None:
    tell(store)
    copy = tmp_path / "copy.db"
    assert str(copy) in run("backup", str(copy)).output
    with AuditStore(copy, environment={}) as other:
        assert other.head() == store.head()


def test_export_prints_one_run_as_json_lines(store: AuditStore, run: Run, tell) -> None:
    tell(store, "ratelimiter-aaaaaa")
    history = tell(store, "ratelimiter-bbbbbb")
    rows = [json.loads(line) for line in run("export", "--run", "bbbbbb").output.splitlines()]
    assert [row["id"] for row in rows if row["table"] == "runs"] == [history.run]
    assert {row.get("run", history.run) for row in rows} == {history.run}
    assert [row["seq"] for row in rows if row["table"] == "events"] == [e.seq for e in store.events(run=history.run)]
    assert {row["table"] for row in rows} == set(store.counts())


def test_a_damaged_file_is_told_by_every_command(run: Run, path: Path) -> None:
    path.write_text("not a database")
    for arguments in (["list"], ["show"], ["status"], ["verify"], ["query", "select 1"]):
        with pytest.raises(AuditCorrupt):
            run(*arguments)


def test_every_command_has_help_with_an_example(run: Run) -> None:
    assert "audit show" in run("--help").output
    for name in audit.commands:
        told = run(name, "--help").output
        assert name == "path" or f"operatorlab audit {name}" in told, name


def test_the_installed_command_ends_with_the_right_code(store: AuditStore, path: Path, tell) -> None:
    tell(store)
    command = [sys.executable, "-m", "operatorlab", "audit"]
    environment = {"OPERATORLAB_HOME": str(path.parent), "PATH": ""}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False)

    assert run("verify").returncode == 0
    assert run("verify", "--head", "99:x").returncode == 4
    failed = run("query", "selct")
    assert failed.returncode == 2
    assert failed.stderr.startswith("Error: the query failed")
    assert "Traceback" not in failed.stderr
