"""`operatorlab doctor`: what this machine offers to a lab, and what to install for more."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from operatorlab.cli.shared import HELP, as_json

_MARKS = {"ok": "✓ ok", "missing": "✗ missing", "optional": "- optional"}


@click.command(context_settings=HELP)
@as_json
def doctor(json_: bool) -> None:
    """Say what this machine offers to a lab, which boundary is in force, and what to install for more.

    \b
    operatorlab doctor
    operatorlab doctor --json

    The exit code is 0 if a lab can run here, 3 if not.
    """
    from operatorlab.doctor import examine

    found = examine()
    if json_:
        click.echo(json.dumps({"well": found.well, **asdict(found)}, indent=2))
    else:
        for one in found.findings:
            click.echo(f"{_MARKS[one.state]:<11} {one.name:<11} {one.what}")
            if one.next_step:
                click.echo(f"{'':<24}try: {one.next_step}")
        click.echo("\nwhat holds an operator in:")
        for deployment, boundary in found.boundaries.items():
            click.echo(f"  {deployment:<11} {boundary}")
    sys.exit(0 if found.well else 3)
