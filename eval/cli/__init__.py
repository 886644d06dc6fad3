"""The commands of `operatorlab eval`."""

from __future__ import annotations

from importlib import import_module

import click

from operatorlab.cli.shared import HELP

_WHERE = {
    "run": "running", "resume": "running", "baseline": "running", "plan": "running",
    "list": "reading", "show": "reading", "analyze": "reading", "compare": "reading",
    "judge": "judging", "rescore": "writing", "report": "writing", "export": "writing",
}  # fmt: skip


class _Lazy(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_WHERE)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _WHERE:
            return None
        module = import_module(f"eval.cli.{_WHERE[cmd_name]}")
        command = getattr(module, f"{cmd_name}_" if cmd_name == "list" else cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_Lazy, context_settings=HELP)
def evaluation() -> None:
    """Run trials, score them, and compare operators.

    \b
    operatorlab eval plan ratelimiter-core          what it would run, and how long that takes
    operatorlab eval run smoke                      a campaign by its name or file
    operatorlab eval resume                         go on with the latest one
    operatorlab eval analyze                        what came of it
    operatorlab eval compare runbook noop
    operatorlab eval show 3                         one trial
    """
