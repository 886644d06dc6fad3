"""Reading notebooks: what is common to everyone who looks into one."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from operatorlab.errors import UserError


def load(notebook: Path) -> NotebookNode:
    """The content of `notebook`; UserError if there is none, or it is something else."""
    try:
        text = notebook.read_text(encoding="utf-8")
        plain = json.loads(text)
    except OSError as trouble:
        raise UserError(f"cannot read {notebook}: {trouble.strerror}", cause=_beside(notebook)) from trouble
    except ValueError as trouble:
        raise UserError(f"{notebook} is not a notebook: {trouble}") from trouble
    if not isinstance(plain, dict) or plain.get("nbformat") != 4:
        raise UserError(f"{notebook} is not a notebook of format 4", next_step="open and save it in JupyterLab")
    try:
        content: NotebookNode = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    except nbformat.ValidationError as trouble:
        raise UserError(f"{notebook} is not a valid notebook: {trouble.message}") from trouble
    return content


def code_cells(content: NotebookNode) -> list[NotebookNode]:
    """Its code cells, in order."""
    return [cell for cell in content.cells if cell.cell_type == "code"]


def tags(cell: NotebookNode) -> list[str]:
    """What `cell` is tagged with."""
    return list(cell.metadata.get("tags", []))


def heading(cell: NotebookNode) -> str:
    """The first heading in a markdown cell; empty if there is none."""
    if cell.cell_type != "markdown":
        return ""
    return next((line.lstrip("# ") for line in cell.source.splitlines() if line.startswith("#")), "")


def _beside(notebook: Path) -> str:
    folder = notebook.parent
    names = sorted(path.name for path in folder.glob("*.ipynb")) if folder.is_dir() else []
    return f"in that folder: {', '.join(names)}" if names else f"there are no notebooks in {folder}"
