"""What several commands have in common: how they help, list and print."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import click

from operatorlab.errors import BadParameter

if TYPE_CHECKING:
    from operatorlab.subject import Subject

HELP = {"help_option_names": ["-h", "--help"]}
as_json = click.option("--json", "json_", is_flag=True, help="Print JSON, for programs.")


class ListUnlessTold(click.Group):
    """A group that lists when it is given no command, or options without one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def subject_or_lab(subject: str | None, run: str | None) -> Subject:
    """The subject of that name, or that of the lab `run`, without either of the only one that runs. UserError."""
    from operatorlab.deploy.kinds import attach
    from operatorlab.deploy.labs import the_lab
    from operatorlab.registry import find_subject

    if subject and run:
        raise BadParameter("give a subject or --run, not both")
    return find_subject(subject) if subject else attach(the_lab(run).run_id).subject


def print_table(rows: Iterable[Mapping[str, str]]) -> None:
    """A table on a terminal; tab-separated lines elsewhere. Texts are taken as they are, never as markup."""
    rows = list(rows)
    if not rows:
        return
    if not sys.stdout.isatty():
        for line in (list(rows[0]), *(list(row.values()) for row in rows)):
            click.echo("\t".join(" ".join(cell.split()) for cell in line))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in rows[0]:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row.values()))
    Console().print(table)
