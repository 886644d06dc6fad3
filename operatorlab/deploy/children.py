"""Processes that this process started and that outlive what started them; somebody has to take note of their end."""

from __future__ import annotations

import subprocess

_children: dict[int, subprocess.Popen[bytes]] = {}


def remember(child: subprocess.Popen[bytes]) -> None:
    """Keep it, so that `reap` finds it. It is ended by whoever ends the lab, perhaps another process."""
    _children[child.pid] = child


def reap() -> None:
    """Take note of those that have ended since."""
    for pid, child in list(_children.items()):
        if child.poll() is not None:
            del _children[pid]
