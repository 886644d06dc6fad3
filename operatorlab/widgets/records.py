"""What panels read from the audit file: the clients' last samples, and who answers in the current session."""

from __future__ import annotations

from operatorlab.widgets.operator import label
from operatorlab.widgets.shapes import RowsLike
from operatorlab.widgets.view import ClientPoint

_LAST_SAMPLES = """
    select allowed + denied as answers, errors, p99_s from client_samples where run = ? order by mono desc limit ?
"""
_LAST_SESSION = "select brain, model from sessions where run = ? order by started_mono desc limit 1"


def client_points(db: RowsLike, run: str, *, limit: int = 120) -> list[ClientPoint]:
    """The last samples, oldest first: of the requests that ended, how many got an answer. Being denied is one."""
    rows = list(db.query(_LAST_SAMPLES, [run, limit]))
    return [_point(row["answers"], row["errors"], row["p99_s"]) for row in reversed(rows)]


def _point(answers: int, errors: int, p99_s: float | None) -> ClientPoint:
    ended = answers + errors
    return ClientPoint(answers / ended if ended else None, p99_s * 1000 if p99_s is not None else None)


def who_answers(db: RowsLike, run: str) -> str:
    """The label of the latest session's brain; empty before the first session."""
    row = next(iter(db.query(_LAST_SESSION, [run])), None)
    return label(row["brain"], row["model"]) if row else ""
