"""Shells in a lab of processes: the operator's, and one for a single program of the lab's own."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from operatorlab.deploy.inside import Inside
from operatorlab.deploy.place import Place
from operatorlab.errors import BadParameter
from operatorlab.sandbox import LocalSandbox, Mode, NamespaceSandbox

_RUN_WITHIN_S = 10.0
_TOO_LATE = 124  # as `timeout` says it


def shell_at(place: Place, root: Path, mode: Mode = Mode.OPERATE) -> LocalSandbox:
    """A shell in the lab's folder: inside the boundary where there is one. BadParameter for a mode it cannot keep."""
    if mode is not Mode.OPERATE:
        raise BadParameter(
            f"the mode {mode!r} needs a boundary that enforces it",
            cause="a lab of processes has none that lets an operator look and not touch",
            next_step="bring the lab up with --deployment compose",
        )
    if isinstance(place, Inside):
        return NamespaceSandbox(place, place.environment)
    return LocalSandbox(root, place.environment)


async def run_in(shell: LocalSandbox, argv: Sequence[str]) -> tuple[int, str]:
    """Run one program in a shell; its exit code (127: there is none, 124: it took too long) and all it printed."""
    done = await shell.exec(shlex.join(argv), _RUN_WITHIN_S)
    return _TOO_LATE if done.exit_code is None else done.exit_code, done.stdout + done.stderr
