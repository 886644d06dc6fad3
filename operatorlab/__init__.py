"""operatorlab: a laboratory in which an AI operator runs real distributed systems.

    async with Lab("ratelimiter") as lab:
        await lab.inject("node_crash", target="node-2")
        ticket = await lab.next_ticket()
        session = await lab.operate(ticket)

Names are loaded when first used, so that `operatorlab --help` and the small processes of a
deployment do not pay for pandas, anthropic and the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from operatorlab.audit import AuditStore
    from operatorlab.errors import OperatorLabError
    from operatorlab.lab import Lab
    from operatorlab.registry import find_subject, subjects

__version__ = "0.1.0"

_WHERE = {
    "AuditStore": "operatorlab.audit",
    "Lab": "operatorlab.lab",
    "OperatorLabError": "operatorlab.errors",
    "find_subject": "operatorlab.registry",
    "subjects": "operatorlab.registry",
}

__all__ = ["AuditStore", "Lab", "OperatorLabError", "__version__", "find_subject", "subjects"]


def __getattr__(name: str) -> object:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'operatorlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
