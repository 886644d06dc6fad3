"""The gate before the shell: what it does not let through comes back to the operator with the reason.

    shell(command) ─▶ gate ─▶ gate.allowed ─▶ the sandbox
                       └────▶ gate.refused ─▶ the operator, as the tool's result

It judges a command's text by the rules of `doing.py`, so it keeps an operator from what it says plainly that it does.
It is no boundary: a script, or a program the rules do not know, passes. What holds is where the shell is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from operatorlab.agent.doing import Doing, doing


class Gate(StrEnum):
    """What is let through."""

    NONE = "none"  # there is no gate: everything
    DENY_DESTRUCTIVE = "deny_destructive"  # everything but what destroys: removes, empties, kills, stops all


_REFUSES = {Gate.NONE: frozenset[Doing](), Gate.DENY_DESTRUCTIVE: frozenset({Doing.DESTRUCTIVE})}


@dataclass(frozen=True, slots=True)
class Decision:
    """What a gate made of one command; `why` is empty where it was let through."""

    gate: Gate
    doing: Doing
    why: str = ""

    @property
    def allowed(self) -> bool:
        """Whether the command may run."""
        return not self.why


def decide(gate: Gate, command: str) -> Decision:
    """What `gate` makes of `command`: a pure function of its text."""
    found = doing(command)
    if found not in _REFUSES[gate]:
        return Decision(gate, found)
    why = f"the gate lets nothing through that is {found.value}, as this command is by its text"
    return Decision(gate, found, why)
