"""`operatorlab doctor`: what it says follows from what the machine really offers."""

import json
import os
import subprocess
import sys

import pytest

KEY = "sk-ant-not-a-key-but-not-to-be-shown-either"


def doctor(*words, path=None, **environment):
    command = [sys.executable, "-m", "operatorlab", "doctor", *words]
    settings = {**os.environ, **environment} | ({"PATH": str(path)} if path else {})
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=settings, check=False)


def found(**environment):
    done = doctor("--json", **environment)
    told = json.loads(done.stdout)
    return done.returncode, told, {one["name"]: one for one in told["findings"]}


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("OPERATORLAB_HOME", str(tmp_path / "home"))


def test_a_machine_where_a_lab_can_run_is_well():
    code, told, findings = found()
    assert (code, told["well"]) == (0, True)
    assert {"Python", "home", "Redis", "ports", "namespaces", "Docker", "Compose", "images", "model key"} == set(
        findings
    )
    assert set(told["boundaries"]) == {"processes", "compose"}


def test_without_a_daemon_containers_are_not_to_be_had_and_the_rest_is_well(tmp_path):
    code, told, findings = found(DOCKER_HOST=f"unix://{tmp_path}/nobody.sock")
    assert code == 0
    assert findings["Docker"]["state"] == "optional"
    assert "DOCKER_HOST" in findings["Docker"]["next_step"]
    assert "not to be had" in told["boundaries"]["compose"]


def test_a_machine_without_bubblewrap_has_no_boundary_and_says_what_to_install(tmp_path):
    _, told, findings = found(path=tmp_path)
    assert findings["namespaces"]["next_step"] == "install bubblewrap"
    assert told["boundaries"]["processes"].startswith("none")


def test_a_home_that_cannot_be_written_is_what_keeps_a_lab_from_running(tmp_path):
    (tmp_path / "file").write_text("")
    code, told, findings = found(OPERATORLAB_HOME=str(tmp_path / "file" / "home"))
    assert (code, told["well"]) == (3, False)
    assert findings["home"]["state"] == "missing"
    assert "OPERATORLAB_HOME" in findings["home"]["next_step"]


def test_a_key_is_told_of_and_never_shown():
    done = doctor(ANTHROPIC_API_KEY=KEY)
    assert "ANTHROPIC_API_KEY is set" in done.stdout
    assert KEY not in done.stdout + done.stderr
    assert "what holds an operator in" in done.stdout
