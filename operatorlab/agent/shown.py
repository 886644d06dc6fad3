"""How a command's result is written for a model, and read back by a brain that is not one.

    exit 0 · 0.03 s · 7QX2MA
    what it printed on standard output
    [stderr]
    what it printed on standard error

The first line is the lab's, everything after it is the command's. The last word of the heading proper is
the id by which a report cites the command; remarks follow it.
"""

from __future__ import annotations

import re

from operatorlab.procedure import Printed
from operatorlab.sandbox import ExecResult

SHOWN_CHARS = 12_000
_STDERR_SHARE = 4  # of what is shown, so much at least is kept for standard error: one part in four
NOT_RUN = 126  # what a shell says of a command that it cannot run
_HEADING = re.compile(r"(?:exit (?P<code>\d+)|timed out) · [\d.]+ s · (?P<id>\w+)")


def show(result: ExecResult, command_id: str, shown_chars: int = SHOWN_CHARS) -> str:
    """The text for the model: what happened, then head and tail of what was printed, about `shown_chars` of it."""
    least_stderr = shown_chars // _STDERR_SHARE
    stderr = clip(result.stderr, max(least_stderr, shown_chars - len(result.stdout)))
    stdout = clip(result.stdout, shown_chars - min(len(result.stderr), least_stderr))
    status = "timed out" if result.exit_code is None else f"exit {result.exit_code}"
    heading = " · ".join([status, f"{result.duration_s:.2f} s", command_id, *_remarks(result, stdout, stderr)])
    if stderr:
        stdout += ("" if not stdout or stdout.endswith("\n") else "\n") + f"[stderr]\n{stderr}"
    return f"{heading}\n{stdout}"


def _remarks(result: ExecResult, stdout: str, stderr: str) -> list[str]:
    remarks = []
    if result.timed_out:
        remarks.append("it and its children were ended")
    if (stdout, stderr) != (result.stdout, result.stderr) or result.dropped_bytes:
        remarks.append("output truncated in the middle")
    if result.left_running:
        remarks.append("something it started still holds its output: redirect that to a file, or it may die writing")
    if not (stdout or stderr):
        remarks.append("no output")
    return remarks


def clip(text: str, limit: int) -> str:
    """At most about `limit` characters: head and tail, with a line between that says how much is missing."""
    if len(text) <= limit:
        return text
    head, tail = limit * 3 // 5, limit * 2 // 5
    return f"{text[:head]}\n[… {len(text) - head - tail} characters left out …]\n{text[-tail:]}"


def read_back(shown: str) -> tuple[Printed, str | None]:
    """What `show` wrote: the exit code and output, and the command's id. Text of any other form was no run."""
    heading, _, output = shown.partition("\n")
    found = _HEADING.match(heading)
    if found is None:
        return Printed(NOT_RUN, shown), None
    code = found["code"]
    return Printed(None if code is None else int(code), output), found["id"]
