"""The declared limits of the rate limiter: what each key may do in one window, as its owners agreed.

These are constants of the subject. Nodes read them from `etc/limits.json`; a limit may be overridden at
run time through the management API, which does not change what was declared.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

WINDOW_S = 1.0
"""Length of the sliding window, seconds."""

DEFAULT = 50
"""Requests a window for a key that is not listed."""

CANARY = "canary"
"""The key the observer probes with; no client uses it."""

DECLARED: Mapping[str, int] = MappingProxyType({"tenant-a": 20, "tenant-b": 40, "tenant-c": 40, CANARY: 3})
"""Requests a window for each listed key."""


def declared_limit(key: str) -> int:
    """What was agreed for `key`, in requests a window."""
    return DECLARED.get(key, DEFAULT)
