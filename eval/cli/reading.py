"""`operatorlab eval list | show | analyze | compare`: what only reads."""

from __future__ import annotations

import json

import click

from eval.cli import drawing
from eval.file import CampaignFile, find_campaign, known_campaigns
from eval.summary import attempts, by_variant, failures, matrix
from operatorlab.cli.shared import HELP, as_json
from operatorlab.errors import OperatorLabError

_campaign = click.option(
    "--campaign", "-c", metavar="NAME", help="Its name, the beginning of it, or its folder [default: the latest]."
)


@click.command("list", context_settings=HELP)
@as_json
def list_(*, json_: bool) -> None:
    """List the campaigns of this machine, newest first.

    \b
    operatorlab eval list
    """
    rows = []
    for path in known_campaigns():
        try:
            with CampaignFile(path) as file:
                good = sum(score.success for score in file.scores())
                last = file.runs()[-1] if file.runs() else {}
                rows.append(
                    {"campaign": file.name, "trials": f"{file.done}/{file.total}", "successes": good,
                     "started": str(last.get("started_at", ""))[:19], "how": last.get("how") or "running or killed"}
                )  # fmt: skip
        except OperatorLabError as trouble:
            rows.append(
                {"campaign": path.parent.name, "trials": "–", "successes": "–", "started": "", "how": trouble.what}
            )
    if json_:
        click.echo(json.dumps(rows))
    elif rows:
        drawing.table(rows)
    else:
        click.echo("No campaigns yet: operatorlab eval run smoke")


@click.command(context_settings=HELP)
@click.argument("trial", required=False)
@_campaign
@as_json
def show(trial: str | None, campaign: str | None, *, json_: bool) -> None:
    """Show one trial by its number or id; without one, all trials of the campaign.

    \b
    operatorlab eval show
    operatorlab eval show 3
    operatorlab eval show 3f9a -c smoke --json
    """
    from eval.story import tell

    with CampaignFile(find_campaign(campaign)) as file:
        if trial is None:
            scores = file.scores()
            if json_:
                click.echo(json.dumps([score.model_dump(mode="json") for score in scores]))
            else:
                drawing.table(drawing.trial_line(score) for score in scores)
            return
        evidence = file.evidence_of(file.trial_named(trial))
        if json_:
            click.echo(evidence.model_dump_json(indent=2))
        else:
            drawing.say(tell(evidence, file.audit_of(evidence.trial.id)))


@click.command(context_settings=HELP)
@click.argument("campaign", required=False)
@as_json
def analyze(campaign: str | None, *, json_: bool) -> None:
    """Say what came of a campaign: rates with their intervals, times, verdicts, and what failed first.

    \b
    operatorlab eval analyze
    operatorlab eval analyze smoke-k7p2mx --json
    """
    with CampaignFile(find_campaign(campaign)) as file:
        scores, name, done, total = file.scores(), file.name, file.done, file.total
    rows = by_variant(scores)
    if json_:
        from eval.canonical import canonical

        click.echo(
            canonical({"campaign": name, "done": done, "total": total, "variants": rows, "matrix": matrix(scores)})
        )
        return
    click.echo(f"{name}: {done} of {total} trials\n")
    drawing.sums(rows)
    click.echo()
    drawing.verdicts(rows)
    drawing.orders(rows)
    click.echo()
    drawing.cells(matrix(scores))
    if many := [one for one in attempts(scores) if one.k > 1]:
        click.echo()
        drawing.tries(many)
    if bad := failures(scores):
        click.echo(f"\n{len(bad)} without success, the worst first:")
        drawing.table(drawing.trial_line(score) for score in bad[:12])


@click.command(context_settings=HELP)
@click.argument("one")
@click.argument("other")
@_campaign
@as_json
def compare(one: str, other: str, campaign: str | None, *, json_: bool) -> None:
    """Compare two variants of a campaign, or two campaigns with one variant each, pair by pair.

    \b
    operatorlab eval compare runbook noop
    operatorlab eval compare smoke-k7p2mx smoke-w3n8ab

    A pair is the same scenario under the same seed. Of each measure it says `different`, `not shown`, or how many more
    pairs it would take to show a difference of this size.
    """
    from eval.cli.comparing import draw, pairs

    draw(pairs(one, other, campaign), as_json=json_)
