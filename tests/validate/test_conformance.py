"""The conformance tests as an author of a subject runs them: in a process of their own, from anywhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent / "deploy" / "example"


def conformance(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "pytest", "--pyargs", "operatorlab.testing.conformance", "-p", "no:cacheprovider")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(
        [*command, "-q", *options], cwd=folder, capture_output=True, text=True, env=environment, check=False
    )


def outcomes(run: subprocess.CompletedProcess[str]) -> str:
    return run.stdout.strip().splitlines()[-1]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "mine"))


def edit(mine: Path, old: str, new: str) -> None:
    text = (mine / "subject.py").read_text()
    assert old in text
    (mine / "subject.py").write_text(text.replace(old, new, 1))


@pytest.mark.slow
def test_a_good_subject_passes(mine: Path):
    run = conformance(mine.parent, "--subject", "./mine")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "9 passed" in outcomes(run)


def test_a_breach_of_the_contract_is_named(mine: Path):
    edit(mine, 'expected = ("member_down",)', 'expected = ("moon",)')
    edit(mine, "kind = FaultKind.CRASH", 'kind = "crash"')
    run = conformance(mine.parent, "--subject", "./mine", "-k", "contract")
    assert run.returncode == 1
    assert "expects the invariant 'moon'" in run.stdout
    assert "kind must be a FaultKind" in run.stdout


@pytest.mark.slow
def test_a_fault_that_does_nothing_and_one_that_does_not_heal_are_told(mine: Path):
    edit(mine, "await deployment.kill(self.target)", "await deployment.state(self.target)")
    edit(mine, 'await deployment.mend("front", "store")', "return")
    run = conformance(mine.parent, "--subject", "./mine", "-k", "test_fault", "--patience", "2")
    assert run.returncode == 1
    assert "the fault is not in force after 2.0 s" in run.stdout
    assert "still in force after heal()" in run.stdout


@pytest.mark.slow
def test_an_observer_that_raises_when_all_is_killed_is_told(mine: Path):
    edit(mine, "except (OSError, TimeoutError) as trouble:", "except TimeoutError as trouble:")
    run = conformance(mine.parent, "--subject", "./mine", "-k", "killed or contract")
    assert "1 failed, 1 passed" in outcomes(run), run.stdout
    assert re.search("Connection(Refused|Reset)Error", run.stdout)


def test_without_a_subject_it_says_how_to_name_one(tmp_path: Path):
    run = conformance(tmp_path)
    assert run.returncode != 0
    assert "--subject ./mine" in run.stdout + run.stderr
