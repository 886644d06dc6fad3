"""What can be broken in the rate limiter on purpose, one file each."""

from __future__ import annotations

from operatorlab.subject import Fault

FAULTS: tuple[type[Fault], ...] = ()
