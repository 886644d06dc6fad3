"""Where tries are made from."""

from __future__ import annotations

import shlex

_AS_ROOT = "docker exec -i -u 0 -e CANARY -e LANDING -e AUDIT"
PLACES = {"agent": "", "node-1": f"{_AS_ROOT} $NODE ", "redis": f"{_AS_ROOT} ${{PROJECT}}_redis_1 "}
"""How a program is started there, from the operator's shell."""


def within(place: str, script: str, program: str = "bash") -> str:
    """The command that gives `script` to a program there."""
    return f"export CANARY LANDING AUDIT; printf %s {shlex.quote(script)} | {PLACES[place]}{program}"
