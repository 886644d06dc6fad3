"""`operatorlab eval rescore | report | export`: what writes files from a campaign."""

from __future__ import annotations

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
