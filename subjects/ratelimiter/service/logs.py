"""A node's log: plain lines on stdout, with time. What comes from clients is quoted, and repeats are held back."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import OrderedDict
from collections.abc import Callable

log = logging.getLogger("ratelimiter")


def set_up() -> None:
    """Send the node's and uvicorn's lines to stdout."""
    handler = logging.StreamHandler(sys.stdout)
    line = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    line.converter = time.gmtime
    line.default_time_format, line.default_msec_format = "%Y-%m-%dT%H:%M:%S", "%s.%03dZ"
    handler.setFormatter(line)
    for name in ("ratelimiter", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False


def quoted(text: str) -> str:
    """Text of a client, safe in a log and in a terminal: one line of printable ASCII, at most 200 signs."""
    shown = json.dumps(text)
    return shown if len(shown) <= 200 else f'{shown[:196]}…"'


class Sparing:
    """Lets the same line through once in `every_s` seconds, and says how many it held back."""

    def __init__(self, every_s: float, *, remembered: int = 256, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._remembered = remembered
        self._clock = clock
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def admit(self, what: str) -> int | None:
        """How many lines like `what` were held back since the last; None if this one is to be, too."""
        now = self._clock()
        last, held = self._seen.get(what, (float("-inf"), 0))
        if now - last < self._every_s:
            self._seen[what] = (last, held + 1)
            return None
        self._seen[what] = (now, 0)
        self._seen.move_to_end(what)
        if len(self._seen) > self._remembered:
            self._seen.popitem(last=False)
        return held
