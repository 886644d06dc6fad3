"""Small real notebooks, written for each test."""

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

WriteNotebook = Callable[..., Path]


@pytest.fixture
def lab_home(tmp_path, monkeypatch):
    """A home of the lab's own, also for the processes that a test starts."""
    home = tmp_path / "home"
    monkeypatch.setenv("OPERATORLAB_HOME", str(home))
    return home


@pytest.fixture
def write_notebook(tmp_path) -> WriteNotebook:
    """Write a notebook: cells as sources, a leading `#` line makes one a markdown cell."""

    def write(
        *sources: str, parameters: str | None = None, name: str = "small.ipynb", model: str | None = None
    ) -> Path:
        cells = [new_markdown_cell(s) if s.startswith("# ") else new_code_cell(s) for s in sources]
        if parameters is not None:
            cells.insert(0, new_code_cell(parameters, metadata={"tags": ["parameters"]}))
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        content = new_notebook(cells=cells, metadata=kernel | ({"operatorlab": {"parameters": model}} if model else {}))
        path = tmp_path / name
        nbformat.write(content, path)
        return path

    return write
