"""`operatorlab invariants`: the rules that a monitor checks, and how patient it is with each."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from operatorlab.cli.shared import HELP, ListUnlessTold, as_json, print_table, subject_or_lab

if TYPE_CHECKING:
    from operatorlab.monitor.settings import Settings
    from operatorlab.subject import Subject


@dataclass(frozen=True, slots=True)
class Rule:
    """One invariant as `list` shows it. `grace_s` is what the settings make of `own_grace_s`."""

    name: str
    severity: str
    grace_s: float
    own_grace_s: float
    threshold: float | None
    unit: str
    window_s: float
    description: str

    def row(self) -> dict[str, str]:
        """For people."""
        changed = f" (own: {self.own_grace_s:g} s)" if self.grace_s != self.own_grace_s else ""
        return {
            "invariant": self.name,
            "severity": self.severity,
            "grace": f"{self.grace_s:g} s{changed}",
            "threshold": "" if self.threshold is None else f"{self.threshold:g} {self.unit}".strip(),
            "window": f"{self.window_s:g} s" if self.window_s else "now",
            "description": self.description,
        }


@click.group(cls=ListUnlessTold, context_settings=HELP)
def invariants() -> None:
    """List the rules that hold while a subject is well.

    \b
    operatorlab invariants list ratelimiter
    """


@invariants.command("list", context_settings=HELP)
@click.argument("subject", required=False)
@click.option("--run", metavar="RUN", help="The subject of this lab; without either, of the only one that runs.")
@click.option("--grace", "graces", multiple=True, metavar="[RULE=]S", help="As a monitor is given it; may be repeated.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="The monitor's settings.")
@as_json
def list_(subject: str | None, run: str | None, graces: tuple[str, ...], config: Path | None, *, json_: bool) -> None:
    """List a subject's rules: how severe, how long trouble must last (grace), when it counts (threshold, window).

    \b
    operatorlab invariants list ratelimiter
    operatorlab invariants list ratelimiter --config monitor.yaml --json
    """
    from operatorlab.monitor.settings import Settings, parse_grace, read_settings

    settings = (read_settings(config) if config else Settings()).under(Settings(parse_grace(graces)))
    rules = _rules(subject_or_lab(subject, run), settings)
    if json_:
        click.echo(json.dumps([asdict(rule) for rule in rules], indent=2))
    else:
        print_table([rule.row() for rule in rules])


def _rules(subject: Subject, settings: Settings) -> list[Rule]:
    from operatorlab.monitor.checking import OBSERVER_BLIND
    from operatorlab.monitor.settings import patience

    patiences = patience(subject.invariants, settings.grace, others=(OBSERVER_BLIND,))
    return [
        Rule(
            rule.name,
            rule.severity.value,
            patiences[rule.name].grace_s,
            rule.grace_s,
            rule.threshold,
            rule.unit,
            rule.window_s,
            rule.description,
        )
        for rule in subject.invariants
    ]
