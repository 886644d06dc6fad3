"""`operatorlab eval rescore | report | export`: what writes files from a campaign."""

from __future__ import annotations

from pathlib import Path

import click

from eval.file import CampaignFile, find_campaign
from operatorlab.cli.shared import HELP


@click.command(context_settings=HELP)
@click.argument("campaign", required=False)
def rescore(campaign: str | None) -> None:
    """Compute every score of a campaign again from its stored evidence.

    \b
    operatorlab eval rescore
    operatorlab eval rescore smoke-k7p2mx
    """
    with CampaignFile(find_campaign(campaign)) as file:
        total, changed = file.rescore()
        click.echo(f"{file.name}: {total} scores, {changed} of them changed")


@click.command(context_settings=HELP)
@click.argument("campaign", required=False)
@click.option("--to", "target", type=click.Path(path_type=Path), help="The file to write [default: beside it].")
def report(campaign: str | None, *, target: Path | None) -> None:
    """Write one HTML file that needs no network: sums, matrix, survival curves, failures first, and every trial.

    \b
    operatorlab eval report
    operatorlab eval report smoke-k7p2mx --to smoke.html
    """
    from eval.report import write_report

    with CampaignFile(find_campaign(campaign)) as file:
        click.echo(write_report(file, target or file.path.parent / "report.html"))


@click.command(context_settings=HELP)
@click.argument("campaign", required=False)
@click.option(
    "--format", "kind", type=click.Choice(["csv", "parquet", "json", "inspect"]), default="csv", show_default=True,
    help="A table of trials (csv, parquet), all evidence and scores, one object a line (json), or a folder of logs that"
    " Inspect reads, one a variant (inspect).",
)  # fmt: skip
@click.option("--to", "target", type=click.Path(path_type=Path), help="What to write [default: beside it].")
def export(campaign: str | None, *, kind: str, target: Path | None) -> None:
    """Write a campaign's trials for other programs.

    \b
    operatorlab eval export --format csv --to trials.csv
    operatorlab eval export smoke-k7p2mx --format parquet
    operatorlab eval export --format inspect --to logs && inspect view --log-dir logs
    """
    from eval.export import export as write

    with CampaignFile(find_campaign(campaign)) as file:
        target = target or file.path.parent / ("inspect" if kind == "inspect" else f"trials.{kind}")
        click.echo(f"{write(file, target, kind)} trials in {target}")
