"""Labs in a home of their own, and proof that each test leaves no process behind."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    home = tmp_path / "home"
    monkeypatch.setenv("OPERATORLAB_HOME", str(home))
    yield home
    runs = home / "runs"
    ours = {run.name for run in runs.iterdir()} if runs.is_dir() else set()
    assert not _processes_of(ours)


def _processes_of(runs: set[str]) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("OPERATORLAB_RUN") in runs:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
