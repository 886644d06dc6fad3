"""Lets benchmarks import what they share from this folder, and gives each a home of its own."""

import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.append(HERE)


@pytest.fixture
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("OPERATORLAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
