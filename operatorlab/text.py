"""Text from a subject, a log or a model, made safe to look at and short enough to show.

Escaping for HTML is done by the templates and, in the browser, by `textContent`. This file deals with
what escaping leaves alone: terminal colours, control characters, marks that reorder a line, and length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_REORDERING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_OTHER_HIDDEN = re.compile("[\x80-\x9f\u2028\u2029\ufeff\ud800-\udfff]")


def visible(text: str) -> str:
    """`text` without terminal colours; every other character that hides or reorders is shown by its name."""
    plain = _TERMINAL.sub("", text).replace("\r\n", "\n")
    plain = _CONTROL.sub(_picture, plain)
    plain = _REORDERING.sub(_code_point, plain)
    return _OTHER_HIDDEN.sub(_code_point, plain)


def short(text: str, limit: int) -> str:
    """`text` in at most `limit` characters, cut at the end with an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


@dataclass(frozen=True, slots=True)
class Folded:
    """The first and the last lines of a long text; `hidden` is the number of lines left out between them."""

    head: str
    hidden: int
    tail: str

    @property
    def first_line(self) -> str:
        """What to show while the rest is folded away."""
        return next((line.strip() for line in self.head.splitlines() if line.strip()), "")


def fold(text: str, *, head: int = 12, tail: int = 8, width: int = 240) -> Folded:
    """Keep `head` + `tail` lines of `text`, each of at most `width` characters."""
    lines = [short(line, width) for line in visible(text).rstrip("\n").split("\n")]
    if len(lines) <= head + tail:
        return Folded("\n".join(lines), 0, "")
    return Folded("\n".join(lines[:head]), len(lines) - head - tail, "\n".join(lines[-tail:]))


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    return "␡" if code == 0x7F else chr(0x2400 + code)


def _code_point(match: re.Match[str]) -> str:
    return f"[U+{ord(match.group()):04X}]"
