"""`python -m operatorlab.monitor`, run as a user runs it, on a small real lab."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from operatorlab.audit import AuditStore
from operatorlab.deploy.processes import ProcessDeployment
from operatorlab.errors import BadParameter, UnknownName
from operatorlab.monitor.__main__ import monitor
from operatorlab.monitor.attach import find_lab
from operatorlab.monitor.board import Board
from operatorlab.monitor.watchers import watchers
from operatorlab.registry import find_subject

KETTLE = str(Path(__file__).parent / "kettle")


def command(*options):
    return [sys.executable, "-u", "-m", "operatorlab.monitor", "--subject", KETTLE, *options]


def once(home, *options):
    environment = os.environ | {"OPERATORLAB_HOME": str(home)}
    return subprocess.run(command(*options), env=environment, capture_output=True, text=True, timeout=60, check=False)


class Watching:
    """A monitor that runs; its lines are awaited."""

    def __init__(self, home, *options):
        environment = os.environ | {"OPERATORLAB_HOME": str(home)}
        self.process = subprocess.Popen(
            command("--interval", "0.05", *options),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines = []

    def line(self, containing):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if containing in line:
                return self.lines[-1]
        pytest.fail(f"no {containing!r} in {self.lines}")

    def end(self, number):
        began = time.monotonic()
        self.process.send_signal(number)
        rest = self.process.communicate(timeout=30)[0]
        self.lines += rest.splitlines()
        return self.process.returncode, time.monotonic() - began


@pytest.fixture
def watch(lab):
    started = []

    def start(*options):
        started.append(Watching(lab.home, *options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.end(signal.SIGKILL)
        one.process.stdout.close()


class Lab:
    """A kettle on this machine."""

    def __init__(self, home):
        self.home = home
        self.deployment = asyncio.run(ProcessDeployment.up(find_subject(KETTLE)))

    def do(self, deed, *args):
        asyncio.run(getattr(self.deployment, deed)(*args))

    def store(self):
        return AuditStore(self.home / "audit.db")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("OPERATORLAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def lab(home):
    lab = Lab(home)
    yield lab
    lab.do("down")


def test_without_a_lab_it_says_how_to_get_one(home):
    done = once(home)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "Error: no lab of kettle runs\n  try: operatorlab up kettle\n"


def test_an_unknown_subject_is_a_clear_error(home):
    with pytest.raises(UnknownName, match="no subject is called 'ketle'"):
        monitor.main(["--subject", "ketle"], standalone_mode=False)


def test_one_look_tells_by_its_exit_code_whether_all_is_well(lab):
    well = once(lab.home, "--once")
    assert (well.returncode, well.stdout) == (0, "all well\n")
    lab.do("kill", "kettle")
    hidden = once(lab.home, "--once")
    assert hidden.returncode == 1
    assert "within its grace  cold/kettle" in hidden.stdout
    broken = once(lab.home, "--once", "--grace", "0", "--json")
    assert broken.returncode == 1
    told = json.loads(broken.stdout)
    assert (told["well"], told["nodes"]) == (False, {"kettle": "down"})
    assert [(t["fingerprint"], t["state"]) for t in told["tickets"]] == [("cold/kettle", "open")]


def test_grace_comes_from_a_file_and_flags_count_for_more(lab, tmp_path):
    lab.do("kill", "kettle")
    config = tmp_path / "monitor.yaml"
    config.write_text("grace: {cold: 0}\n")
    assert "open" in once(lab.home, "--once", "--config", str(config)).stdout
    unknown = once(lab.home, "--once", "--grace", "colt=0")
    assert unknown.returncode == 2
    assert "did you mean 'cold'?" in unknown.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_tells_each_change_and_ends_with_a_goodbye(lab, watch, number):
    watching = watch()
    assert "1 rules every 0.05 s, 0 tickets live" in watching.line("watching")
    lab.do("kill", "kettle")
    opened = watching.line("opened")
    assert "cold/kettle  the kettle is ␛[2J ⏎ cold" in opened
    lab.do("start", "kettle")
    watching.line("self_healed")
    code, took_s = watching.end(number)
    assert code == 0
    assert took_s < 5
    assert watching.lines[-1].startswith("stopped after ")
    assert watching.lines[-1].endswith("0 tickets live")
    with lab.store() as store:
        assert [e.payload["how"] for e in store.events(kinds=("monitor.stopped",))] == ["stopped"]
        assert store.verify().ok


def test_as_json_every_line_is_an_object(lab, watch):
    watching = watch("--json", "--grace", "0")
    watching.line("watching")
    lab.do("kill", "kettle")
    watching.line("ticket.opened")
    watching.end(signal.SIGTERM)
    told = [json.loads(line) for line in watching.lines]
    assert [line["kind"] for line in told] == ["watching", "ticket.opened", "stopped"]
    assert told[1]["message"] == "the kettle is \x1b[2J\ncold"
    assert all(line.isprintable() for line in watching.lines)


def test_it_tells_what_others_do_to_the_tickets(lab, watch):
    watching = watch("--grace", "0")
    watching.line("watching")
    lab.do("kill", "kettle")
    watching.line("opened")
    with lab.store() as store:
        board = Board(store, lab.deployment.run_id)
        board.hold(board.live()[0].id, "ada", "descaling")
    assert watching.line("held").endswith("cold/kettle  descaling  (by ada)")


def test_metrics_are_served_on_request(lab, watch):
    watching = watch("--metrics-port", "0")
    address = watching.line("metrics at").split()[-1]
    watching.line("watching")
    with urllib.request.urlopen(address, timeout=10) as answer:
        assert b"operatorlab_monitor_cycles_total" in answer.read()
    port = address.split(":")[-1].split("/")[0]
    taken = once(lab.home, "--metrics-port", port)
    assert taken.returncode == 3
    assert f"cannot serve metrics on port {port}" in taken.stderr
    assert "also watched by process" in taken.stdout


def test_killed_it_loses_nothing_and_the_next_one_goes_on(lab, watch):
    first = watch("--grace", "0")
    first.line("watching")
    lab.do("kill", "kettle")
    first.line("opened")
    first.end(signal.SIGKILL)
    with lab.store() as store:
        assert store.verify().ok
        assert watchers(store, lab.deployment.run_id) == []
    second = watch("--grace", "0")
    assert "1 tickets live" in second.line("watching")
    lab.do("start", "kettle")
    second.line("self_healed")
    with lab.store() as store:
        assert store.rows("select count(*) as n from tickets")[0]["n"] == 1


def test_of_several_labs_one_must_be_named(lab):
    other = Lab(lab.home)
    try:
        with pytest.raises(BadParameter, match="2 labs of kettle run"):
            find_lab("kettle", None)
        assert find_lab("kettle", other.deployment.run_id).run_id == other.deployment.run_id
        with pytest.raises(BadParameter, match="no lab nope of kettle runs"):
            find_lab("kettle", "nope")
        with pytest.raises(BadParameter, match="no lab of teapot runs"):
            find_lab("teapot", None)
    finally:
        other.do("down")
