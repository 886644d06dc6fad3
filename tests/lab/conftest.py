"""Labs in a home of their own, and proof that each test leaves no process behind."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def at_home(own_home: Path) -> None:
    """Every test has a home of its own."""
