"""`operatorlab up | status | down | cleanup | faults`, as a person types them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from operatorlab.audit import AuditStore
from operatorlab.cli import root
from operatorlab.deploy.kin import kin
from operatorlab.deploy.labs import labs
from operatorlab.deploy.records import read_record, read_records
from operatorlab.errors import BadParameter, PortTaken, UnknownName

EXAMPLE = str(Path(__file__).parent / "example")
Run = Callable[..., Result]


@pytest.fixture
def run() -> Iterator[Run]:
    """Calls `operatorlab …` in this process; errors of the lab come out as they are. Takes down what is left."""

    def call(*words: str) -> Result:
        return CliRunner().invoke(root, list(words), catch_exceptions=False)

    yield call
    for record in labs():
        call("down", record.run_id)


def up(run: Run) -> str:
    return str(json.loads(run("up", EXAMPLE, "--json").output)["run_id"])


def rows(sql: str) -> list[dict[str, object]]:
    with AuditStore() as store:
        return store.rows(sql)


def test_a_lab_outlives_the_command_that_brought_it_up(run: Run):
    told = subprocess.check_output([sys.executable, "-m", "operatorlab", "up", EXAMPLE], text=True)
    [record] = labs()
    assert (record.keep, record.owner_alive, record.running, record.dead) == (True, False, True, False)
    assert "supervisord runs" in told
    assert f"is up as {record.run_id}" in told
    assert f"127.0.0.1:{record.ports['front']}" in told
    assert f"operatorlab down {record.run_id}" in told
    assert [row["id"] for row in rows("select id from runs where ended_at is null")] == [record.run_id]
    [shown] = json.loads(run("status", "--json").output)
    assert shown["members"] == {"store": "running", "front": "running"}
    assert record.run_id in run("status").output
    assert "is down; its logs are in" in run("down").output
    assert not kin(record)
    assert rows("select ended_how from runs") == [{"ended_how": "taken down"}]
    assert "no lab runs" in run("status").output


def test_status_shows_how_members_stand_and_whatever_is_wrong_with_one_lab(run: Run):
    first = up(run)
    run("faults", "inject", "store_crash")
    other = up(run)
    lost = read_record(other)
    lost.model_copy(update={"source": "/nowhere"}).save()
    shown = {lab["run_id"]: lab for lab in json.loads(run("status", "--json").output)}
    assert shown[first]["members"] == {"store": "stopped", "front": "running"}
    assert "no subject is called '/nowhere'" in shown[other]["trouble"]
    assert "no subject is called '/nowhere'" in run("status").output


def test_faults_are_listed_for_a_subject_and_for_a_lab(run: Run):
    [crash, partition] = json.loads(run("faults", "list", EXAMPLE, "--json").output)
    assert (crash["name"], crash["targets"], crash["expected"]) == ("store_crash", ["store", "front"], ["member_down"])
    assert partition["kind"] == "partition"
    up(run)
    told = run("faults", "list").output
    assert "store_crash" in told
    assert "nothing passes between front and store" in told
    with pytest.raises(BadParameter, match="not both"):
        run("faults", "list", EXAMPLE, "--run", "x")


def test_faults_are_recorded_injected_and_healed_from_other_processes(run: Run):
    run_id = up(run)
    words = [sys.executable, "-m", "operatorlab", "faults"]
    told = subprocess.check_output([*words, "inject", "store_crash", "--target", "front"], text=True)
    [row] = rows("select * from faults")
    assert (row["run"], row["name"], row["target"], row["healed_at"]) == (run_id, "store_crash", "front", None)
    assert json.loads(str(row["truth"]))["component"] == "front"
    assert row["memo"] == "{}"
    assert f"operatorlab faults heal {row['id']}" in told
    [shown] = json.loads(run("status", "--json").output)
    assert shown["members"]["front"] == "stopped"
    assert "store_crash on front is healed" in run("faults", "heal", str(row["id"])[:20]).output
    assert rows("select 1 from faults where healed_at is null") == []
    assert "nothing to heal" in run("faults", "heal").output


def test_several_faults_are_healed_latest_first(run: Run):
    up(run)
    run("faults", "inject", "store_partition")
    run("faults", "inject", "store_crash")
    with pytest.raises(BadParameter, match="which fault"):
        run("faults", "heal")
    with pytest.raises(UnknownName, match="no unhealed fault is called 'nothing'"):
        run("faults", "heal", "nothing")
    told = run("faults", "heal", "--all").output
    assert told.index("store_crash on store is healed") < told.index("store_partition on front is healed")
    assert rows("select 1 from faults where healed_at is null") == []


def test_unknown_names_are_told_with_what_was_meant(run: Run):
    with pytest.raises(UnknownName, match="no subject is called"):
        run("up", "nosuch")
    with pytest.raises(BadParameter, match="no lab runs"):
        run("down")
    up(run)
    with pytest.raises(UnknownName, match="did you mean 'store_crash'"):
        run("faults", "inject", "stor_crash")
    with pytest.raises(UnknownName, match="did you mean 'store'"):
        run("faults", "inject", "store_crash", "--target", "stoer")
    with pytest.raises(UnknownName, match="no lab is called 'nosuch'"):
        run("faults", "inject", "store_crash", "--run", "nosuch")
    assert rows("select 1 from faults") == []


def test_a_port_can_be_chosen_and_a_taken_one_is_told(run: Run, unused_port: int):
    told = json.loads(run("up", EXAMPLE, "--port", f"front={unused_port}", "--json").output)
    assert told["addresses"]["front"] == f"127.0.0.1:{unused_port}"
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(PortTaken):
        run("up", EXAMPLE, "--port", f"front={server.getsockname()[1]}")
    assert [row["ended_how"] for row in rows("select ended_how from runs where ended_at is not null")] == [
        "did not come up: PortTaken"
    ]
    for nonsense in ("front", "front=x", "=80"):
        with pytest.raises(click.BadParameter, match="write node-1=8001"):
            root.main(["up", EXAMPLE, "--port", nonsense], standalone_mode=False)


def test_cleanup_takes_kept_labs_only_when_asked_and_old_logs_too(run: Run):
    ended = up(run)
    run("down")
    kept = up(run)
    assert "nothing to remove" in run("cleanup").output
    assert "nothing to remove" in run("cleanup", "--all", "--older-than", "2h").output
    assert f"removed {kept}" in run("cleanup", "--all").output
    assert [record.run_id for record in read_records()] == [ended]
    assert f"removed {ended}" in run("cleanup", "--older-than", "0s").output
    assert read_records() == []
    assert {row["ended_how"] for row in rows("select ended_how from runs")} == {"taken down", "cleaned up"}
    with pytest.raises(click.BadParameter, match="write 90s"):
        root.main(["cleanup", "--older-than", "soon"], standalone_mode=False)


def test_a_lab_can_be_ended_where_the_audit_cannot_be_written(run: Run, lab_home: Path):
    up(run)
    (lab_home / "audit.db").write_bytes(b"this is no database" * 100)
    told = run("down")
    assert "is down" in told.output
    assert "was not recorded" in told.stderr
    assert labs() == []


@pytest.mark.parametrize("command", ["up", "status", "down", "cleanup", "faults list", "faults inject", "faults heal"])
def test_every_command_explains_itself_with_an_example(run: Run, command: str):
    told = run(*command.split(), "--help").output
    assert f"\n  operatorlab {command}" in told


def test_an_error_is_plain_text_with_its_exit_code():
    done = subprocess.run(
        [sys.executable, "-m", "operatorlab", "up", "nosuch"],
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: no subject is called 'nosuch'")
    assert "Traceback" not in done.stderr
