"""`operatorlab eval judge`: a model's opinion of the diagnoses, held against the mechanical score."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from eval.cli import drawing
from eval.file import CampaignFile, find_campaign
from operatorlab.cli.shared import HELP, as_json
from operatorlab.errors import OperatorLabError

if TYPE_CHECKING:
    from eval.judge import Judgement
    from operatorlab.agent.brains import Brain


@click.command(context_settings=HELP)
@click.argument("campaign", required=False)
@click.option("--model", metavar="NAME", help="The model that judges. [default: claude-opus-5-5]")
@click.option("--base-url", metavar="URL", help="A server that speaks the Messages API. [default: Anthropic's]")
@click.option("--effort", type=click.Choice(["low", "medium", "high", "xhigh", "max"]), help="How hard it thinks.")
@click.option(
    "--max-cost", "max_cost_usd", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True,
    metavar="USD", help="Ask no more once so much is spent, where prices are known.",
)  # fmt: skip
@as_json
def judge(
    campaign: str | None, *, model: str | None, base_url: str | None, effort: str | None, max_cost_usd: float,
    json_: bool,
) -> None:  # fmt: skip
    """Ask a model how well each report found the cause, and say how far it agrees with the score.

    \b
    operatorlab eval judge
    operatorlab eval judge smoke-k7p2mx --model claude-sonnet-5-5 --effort low --max-cost 0.20
    operatorlab eval judge --base-url http://localhost:11434 --model qwen3

    It is told what was broken and what the report says, and not who wrote it. Its answers are kept beside the scores
    and change none of them. What this judge has judged before is not asked again.
    """
    from operatorlab.agent.brains import make_brain

    judging = make_brain("claude", model=model, base_url=base_url, effort=effort)
    with CampaignFile(find_campaign(campaign)) as file:
        kept = _judged(file, judging, max_cost_usd)
        _tell(file, kept, as_json=json_)


def _judged(file: CampaignFile, judging: Brain, max_cost_usd: float) -> list[Judgement]:
    """Every judgement of this judge, old and new. What was kept before it failed stays kept."""
    from anthropic import APIError

    from eval.judge import judge_id, judgements

    async def ask() -> None:
        known = {one.trial for one in file.judgements(judge_id(judging))}
        left = (evidence for evidence in file.evidence() if evidence.trial.id not in known)
        async for one in judgements(judging, left, max_cost_usd=max_cost_usd):
            file.keep(one)

    try:
        asyncio.run(ask())
    except APIError as trouble:
        raise OperatorLabError(
            f"{judging.label} could not be asked: {trouble}", next_step="the same again: what was judged is kept"
        ) from trouble
    return file.judgements(judge_id(judging))


def _tell(file: CampaignFile, kept: Sequence[Judgement], *, as_json: bool) -> None:
    from eval.agreement import agreements
    from eval.canonical import canonical
    from eval.judge import question

    asked = sum(question(evidence) is not None for evidence in file.evidence())
    scores = file.scores()
    found = agreements(kept, scores)
    if as_json:
        click.echo(canonical({"campaign": file.name, "reports": asked, "judgements": kept, "agreement": found}))
        return
    ungraded = sum(one.grade is None for one in kept)
    click.echo(f"{file.name}: {len(kept)} of {asked} reports judged, {ungraded} of them without a readable answer\n")
    drawing.table(_by_variant(kept, {score.trial: score.variant for score in scores}))
    click.echo()
    drawing.table(
        {
            "judged right, against": one.measure, "agree (95 %)": one.agree,
            "kappa": None if one.kappa is None else f"{one.kappa:.2f}", "both": one.both,
            "judge only": one.judge_only, "score only": one.score_only, "neither": one.neither,
        }
        for one in found
    )  # fmt: skip


def _by_variant(kept: Sequence[Judgement], variants: dict[str, str]) -> list[dict[str, Any]]:
    from eval.judge import Grade
    from eval.stats import rate

    rows = []
    for name in dict.fromkeys(variants.values()):
        grades = Counter(one.grade for one in kept if variants[one.trial] == name and one.grade)
        rows.append(
            {"variant": name, "judged right": rate(grades[Grade.RIGHT], grades.total()),
             **{grade.value: grades[grade] for grade in Grade}}
        )  # fmt: skip
    return rows
