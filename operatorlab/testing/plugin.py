"""A pytest plugin with one option, `--subject`, for the conformance tests. Loaded wherever operatorlab is.

A conftest would not do: pytest does not look for one beside a module that is named with `--pyargs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--subject`."""
    parser.getgroup("operatorlab").addoption(
        "--subject",
        metavar="NAME_OR_PATH",
        help="the subject for `pytest --pyargs operatorlab.testing.conformance`: a name, a folder or a file",
    )
