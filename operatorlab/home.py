"""Where the lab keeps its files, and the names it gives to runs.

One folder, `$OPERATORLAB_HOME`, by default the user's state folder (`~/.local/state/operatorlab` on
Linux). In it: `audit.db`, and `runs/<run id>/` for each lab and each notebook run.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from platformdirs import user_state_path

from operatorlab.errors import NotWritable

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # no look-alikes: people type these


def home() -> Path:
    """The lab's folder; not created here."""
    chosen = os.environ.get("OPERATORLAB_HOME")
    return Path(chosen).expanduser().absolute() if chosen else user_state_path("operatorlab")


def audit_path() -> Path:
    """The default audit file."""
    return home() / "audit.db"


def runs() -> Path:
    """The folder that holds one folder a run."""
    return home() / "runs"


def new_run_id(prefix: str) -> str:
    """A short, unguessable name for a run, such as `ratelimiter-k7p2mx`."""
    return f"{prefix}-{''.join(secrets.choice(_ALPHABET) for _ in range(6))}"


def make_folder(path: Path) -> Path:
    """Create `path` and what is above it, for this user only; NotWritable says how to choose another."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as trouble:
        raise NotWritable(
            f"cannot create {path}: {trouble.strerror}",
            cause="no permission to write there, or the disk is read-only",
            next_step="export OPERATORLAB_HOME=/a/folder/you/own",
        ) from trouble
    return path
