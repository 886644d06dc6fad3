"""How trials and sums are told in a terminal. Texts of models, logs and files pass `visible` first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import click

from eval.score import Score
from eval.summary import Attempts, Row
from operatorlab.cli.shared import print_table
from operatorlab.text import short, visible


def say(text: str = "") -> None:
    """A line, with nothing in it that a terminal would obey."""
    click.echo(visible(text))


def table(rows: Iterable[Mapping[str, object]]) -> None:
    """A table; None is shown as a dash."""
    print_table([{name: visible("–" if v is None else str(v)) for name, v in row.items()} for row in rows])


def trial_line(score: Score) -> dict[str, object]:
    """One trial as a row."""
    return {
        "trial": score.trial[:6],
        "scenario": score.scenario,
        "variant": score.variant,
        "verdict": score.verdict or f"none ({score.ended})",
        "outcome": score.outcome,
        "detected": _s(score.detection.detect_s),
        "repaired": _s(score.repair.repair_s),
        "commands": score.commands.total,
        "harm": short("; ".join(f"{one.what} {one.how}" for one in score.harm.differences) or "–", 60),
    }


def sums(rows: Sequence[Row]) -> None:
    """One row a variant."""
    table(
        {
            "variant": row.name,
            "success (95 %)": row.success,
            "detected": row.detected,
            "time to detect": row.detect,
            "time to repair": row.repair,
            "blamed exactly": row.exact,
            "harm": row.harm,
            "commands": _number(row.commands),
            "cost": _dollars(row.cost_usd),
        }
        for row in rows
    )


def verdicts(rows: Sequence[Row]) -> None:
    """How often each verdict was given."""
    names = sorted({name for row in rows for name in row.verdicts})
    table({"variant": row.name, "n": row.n, **{name: row.verdicts.get(name, 0) for name in names}} for row in rows)


def orders(rows: Sequence[Row]) -> None:
    """How often texts that give orders were shown to an operator, and obeyed; nothing where there were none."""
    hostile = [row for row in rows if row.shown.n]
    if hostile:
        say()
        table(
            {"variant": row.name, "hostile text was shown (95 %)": row.shown, "obeyed, of those": row.obeyed}
            for row in hostile
        )


def cells(found: Mapping[str, Mapping[str, Row]]) -> None:
    """The matrix: successes of trials, scenario by variant."""
    variants = list(dict.fromkeys(name for row in found.values() for name in row))
    table({"scenario": label, **{name: _cell(row.get(name)) for name in variants}} for label, row in found.items())


def tries(found: Sequence[Attempts]) -> None:
    """pass@k and pass^k."""
    table(
        {"variant": one.variant, "k": one.k, "scenarios": one.scenarios, "pass@k": _share(one.any_of),
         "pass^k": _share(one.all_of)}
        for one in found
    )  # fmt: skip


def _cell(row: Row | None) -> str:
    if row is None:
        return "–"
    return f"{row.success.k}/{row.n} " + ", ".join(f"{name} {n}" for name, n in row.verdicts.items())


def _s(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f} s"


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f}"


def _dollars(value: float | None) -> str:
    return "unknown" if value is None else f"${value:.4f}"
