"""The example subject of the deployment's tests: a good one, to be broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from operatorlab.registry import find_subject
from operatorlab.subject import Subject

EXAMPLE = Path(__file__).parent.parent / "deploy" / "example"


@pytest.fixture(scope="session")
def example() -> Subject:
    return find_subject(EXAMPLE)
