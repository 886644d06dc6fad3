"""The Docker daemon is stopped, or killed, and started in the middle of a trial, on a daemon of the test's own.

Daemon, lab and monitor live in namespaces of their own: the machine's filter, networks and daemon are left alone,
and when the first process there ends, so does everything else.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from operatorlab.deploy.compose.engine import find_daemon
from operatorlab.deploy.compose.stack import AGENT_IMAGE, RELAY_IMAGE, read_stack
from subjects.ratelimiter.subject import RateLimiter

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
SCRIPT = Path(__file__).with_name("away_trial.py")
APART = ("unshare", "--net", "--mount", "--propagation", "slave", "--pid", "--fork", "--kill-child", "--mount-proc")
INIT = ("sh", "-c", '"$@"; exit $?', "init")  # as the first process there, it buries whoever lost its parent
CGROUPS = Path("/sys/fs/cgroup")
PLAYS_WITHIN_S = 200


@pytest.fixture(scope="module")
def images(containers, tmp_path_factory):
    """The images of a lab in a file, from the machine's own daemon."""
    needed = ("dockerd", "unshare", "ip", "iptables", "mount")
    if os.geteuid() != 0 or not all(map(shutil.which, needed)):
        pytest.skip(f"a daemon of one's own needs root and {', '.join(needed)}")
    path = tmp_path_factory.mktemp("images") / "images.tar"
    names = sorted({*read_stack(RateLimiter()).images, RELAY_IMAGE, AGENT_IMAGE})
    subprocess.run(["docker", "-H", find_daemon(), "save", "-o", path, *names], check=True)
    yield path
    path.unlink()


@pytest.fixture
def folder(tmp_path_factory):
    """Where the daemon keeps what it has. It is large, so it does not outlive the test."""
    path = tmp_path_factory.mktemp("dockerd")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def cgroup():
    """A name for the daemon's cgroups, which no namespace takes away."""
    name = f"/operatorlab-test-{os.getpid()}"
    yield name
    left = [path for top in ("*/", "") for path in CGROUPS.glob(f"{top}{name[1:]}/**/")]
    until = time.monotonic() + 10
    while any((path / "cgroup.procs").read_text() for path in left):
        assert time.monotonic() < until, "what was killed has not ended"
        time.sleep(0.05)
    for path in sorted(left, reverse=True):
        path.rmdir()


def play(how, folder, images, cgroup):
    """What the trial saw: its lines, by turn."""
    words = [*APART, *INIT, sys.executable, SCRIPT, how, folder, images, cgroup]
    played = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=PLAYS_WITHIN_S, check=False)
    assert played.returncode == 0, f"{played.stdout[-4000:]}\n{played.stderr}"
    turns = {}
    for line in map(json.loads, played.stdout.splitlines()):
        turns.setdefault(line["turn"], []).append(line)
    return turns


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_a_daemon_that_is_away_blinds_the_lab_and_resolves_nothing(how, folder, images, cgroup):
    saw = play(how, folder, images, cgroup)
    open_ticket = ["node_down", "node-2", "open", True]
    others = {"redis": "running", "node-1": "running", "node-3": "running"}

    [ended] = saw["ended"]
    assert ended["containers"] == {**others, "node-2": "stopped"}
    assert ended["tickets"] == [open_ticket]

    assert len(saw["away"]) > 8
    for cycle in saw["away"]:
        assert cycle["states"] == dict.fromkeys(("redis", "node-1", "node-2", "node-3"), "unknown")
        assert cycle["blind"].keys() == cycle["states"].keys()
        assert all("Docker daemon" in why for why in cycle["blind"].values())
    assert "observer_blind" in {ticket[0] for ticket in saw["away"][-1]["tickets"]}

    for cycle in saw["away"] + saw["back"] + saw["again"]:
        first, *more = cycle["tickets"]
        assert first == open_ticket, "it is not resolved"
        assert {ticket[0] for ticket in more} <= {"observer_blind"}, f"blamed on somebody: {cycle}"
    assert all(ticket[3] for cycle in saw["away"] for ticket in cycle["tickets"])

    [recovered] = saw["recovered"]
    assert recovered["containers"] == {**others, "node-2": "stopped"}, "what was broken stays broken"
    assert recovered["active"]

    [healed] = saw["healed"]
    assert healed["containers"] == {**others, "node-2": "running"}
    assert [ticket[2:] for ticket in healed["tickets"] if ticket[0] == "node_down"] == [["self_healed", False]]
    assert healed["verified"]
