"""Live panels for notebooks, and the HTML of the lab's objects."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from operatorlab.widgets.nodes import NodesPanel
    from operatorlab.widgets.operator import OperatorPanel
    from operatorlab.widgets.watch import Watch, watch

_WHERE = {"NodesPanel": "nodes", "OperatorPanel": "operator", "Watch": "watch", "watch": "watch"}

__all__ = ["NodesPanel", "OperatorPanel", "Watch", "watch"]


def __getattr__(name: str) -> object:
    # Loaded when first used: the lab's objects draw their HTML without paying for ipywidgets.
    if name in _WHERE:
        return getattr(import_module(f"operatorlab.widgets.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'operatorlab.widgets' has no attribute {name!r}")
