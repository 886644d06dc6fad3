"""Python's garbage collector in a process that only watches."""

from __future__ import annotations

import gc

_EACH = 20_000
"""So many new objects before the collector looks at them; by default 700. A look at a thousand nodes makes many."""


def spare_the_collector() -> None:
    """Have it look at less, and less often: what is looked at is seldom garbage, and looking costs more than a look."""
    gc.freeze()  # what was imported stays for good
    gc.set_threshold(_EACH, 10, 10)
