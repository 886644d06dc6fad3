"""The pytest options `--subject` and `--patience` of the conformance tests. Loaded wherever operatorlab is.

A conftest would not do: pytest does not look for one beside a module that is named with `--pyargs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--subject` and `--patience`."""
    group = parser.getgroup("operatorlab")
    group.addoption(
        "--subject",
        metavar="NAME_OR_PATH",
        help="the subject for `pytest --pyargs operatorlab.testing.conformance`: a name, a folder or a file",
    )
    group.addoption(
        "--patience",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long a conformance test waits for the subject to become healthy, or for a fault to take hold",
    )
