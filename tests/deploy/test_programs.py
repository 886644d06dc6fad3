"""Programs come from the machine or from a wheel, or are said to be missing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from operatorlab.deploy.programs import find_program
from operatorlab.errors import MissingProgram


def test_a_program_of_the_machine_is_found_by_path():
    assert find_program("sh").is_absolute()


def test_redis_is_found_even_where_the_machine_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("redis-server", "redis-cli"):
        told = subprocess.run([find_program(name), "--version"], capture_output=True, text=True, check=True)
        assert "v=" in told.stdout or "redis-cli" in told.stdout


def test_a_missing_program_is_told_with_what_to_do():
    with pytest.raises(MissingProgram, match="'no-such-program' is not on this machine") as told:
        find_program("no-such-program")
    assert "install" in told.value.next_step
