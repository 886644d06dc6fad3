"""What `operatorlab eval compare` compares, and how it says so."""

from __future__ import annotations

import click

from eval.canonical import canonical
from eval.cli import drawing
from eval.compare import Compared, Finding, Pair, compare, pair_up
from eval.evidence import Trial
from eval.file import CampaignFile, find_campaign
from eval.score import Score
from operatorlab.errors import BadParameter, UnknownName

Judged = list[tuple[Trial, Score]]


def pairs(one: str, other: str, campaign: str | None) -> list[Pair]:
    """The pairs of two variants of a campaign, else of two campaigns. UserError if there is none."""
    with CampaignFile(find_campaign(campaign)) as file:
        judged = file.judged()
    names = {trial.variant.name for trial, _ in judged}
    if {one, other} <= names:
        sides = [[pair for pair in judged if pair[0].variant.name == name] for name in (one, other)]
    elif campaign is None and not {one, other} & names:
        sides = [_of_campaign(one), _of_campaign(other)]
    else:
        raise UnknownName("variant", next(name for name in (one, other) if name not in names), names)
    found = pair_up(*sides)
    if not found:
        raise BadParameter(
            f"{one} and {other} have no pair in common",
            cause="a pair is the same scenario under the same seed, run with both",
            next_step="run both in one campaign, or with the same `seed` and `timing`",
        )
    return found


def _of_campaign(name: str) -> Judged:
    with CampaignFile(find_campaign(name)) as file:
        judged = file.judged()
    variants = sorted({trial.variant.name for trial, _ in judged})
    if len(variants) > 1:
        raise BadParameter(
            f"{name} has several variants: {', '.join(variants)}", next_step=f"operatorlab eval compare A B -c {name}"
        )
    return judged


def draw(found: list[Pair], *, as_json: bool) -> None:
    """Every measure, and what the pairs say of it."""
    compared = compare(found)
    one, other = found[0].one.variant, found[0].other.variant
    if as_json:
        click.echo(canonical({"one": one, "other": other, "pairs": len(found), "compared": compared}))
        return
    click.echo(f"{len(found)} pairs: the same scenario under the same seed, with {one} and with {other}\n")
    pair_s = sum(sum(score.phases.values()) for pair in found for score in (pair.one, pair.other)) / len(found)
    pair_usd = sum(score.cost.cost_usd or 0.0 for pair in found for score in (pair.one, pair.other)) / len(found)
    drawing.table(
        {
            "measure": line.measure, "pairs": line.n, one: _number(line.one), other: _number(line.other),
            "difference (95 %)": _interval(line), "p": _p(line.p), "corrected": _p(line.p_corrected),
            "": _words(line, pair_s, pair_usd),
        }
        for line in compared
    )  # fmt: skip


def _words(line: Compared, pair_s: float, pair_usd: float) -> str:
    if line.finding is not Finding.NOT_SHOWN or line.need is None or line.need <= line.n:
        return line.finding.value
    more = line.need - line.n
    price = f", ${more * pair_usd:.2f}" if pair_usd else ""
    return f"{line.finding.value}; need {more} more pairs (about {more * pair_s / 60:.0f} minutes of one job{price})"


def _interval(line: Compared) -> str | None:
    if line.difference is None:
        return None
    if line.low is None or line.high is None:
        return f"{line.difference:+.3g}"
    return f"{line.difference:+.3g} ({line.low:+.3g} … {line.high:+.3g})"


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}"


def _p(value: float | None) -> str | None:
    return None if value is None else ("<0.001" if value < 0.001 else f"{value:.3f}")
