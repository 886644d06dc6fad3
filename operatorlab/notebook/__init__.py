"""Notebooks as programs: checked parameters in, a verdict, a report and a record out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from operatorlab.notebook.chart import theme, timeline
    from operatorlab.notebook.result import record

_WHERE = {"record": "result", "theme": "chart", "timeline": "chart"}

__all__ = ["record", "theme", "timeline"]


def __getattr__(name: str) -> object:
    # Loaded when first used: `operatorlab run --help` need not wait for pandas and altair.
    if name in _WHERE:
        return getattr(import_module(f"operatorlab.notebook.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'operatorlab.notebook' has no attribute {name!r}")
