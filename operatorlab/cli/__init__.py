"""The `operatorlab` command. Each command lives in a file of its own and is imported when it is called.

`--help` shows the one-line helps from the table below without importing anything heavy, so that it
answers at once; a test keeps the table equal to what the commands say of themselves.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

from operatorlab import __version__
from operatorlab.errors import OperatorLabError

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("operatorlab.cli.labs:up", "Bring a subject up and leave it running."),
    "status": ("operatorlab.cli.labs:status", "Show the labs of this machine and how their members stand."),
    "down": ("operatorlab.cli.labs:down", "End a lab and remove what it left."),
    "cleanup": ("operatorlab.cli.labs:cleanup", "Remove what dead labs left behind."),
    "doctor": (
        "operatorlab.cli.doctor:doctor",
        "Say what this machine offers to a lab, which boundary is in force, and what to install for more.",
    ),
    "load": ("operatorlab.cli.load:load", "Put a client load on a running lab, until Ctrl-C."),
    "faults": ("operatorlab.cli.faults:faults", "List, inject and heal faults."),
    "invariants": ("operatorlab.cli.invariants:invariants", "List the rules that hold while a subject is well."),
    "monitor": ("operatorlab.cli.monitor:monitor", "Try the monitor on a lab in which nothing is wrong."),
    "tickets": ("operatorlab.cli.tickets:tickets", "List, show, hold and resolve tickets."),
    "agent": ("operatorlab.cli.agent:agent", "Let an operator work on a lab's incidents."),
    "audit": ("operatorlab.cli.audit:audit", "Read the record of everything that was seen, thought and done."),
    "eval": ("operatorlab.cli.eval:evaluation", "Run trials, score them, and compare operators."),
    "run": ("operatorlab.cli.run:run", "Run a notebook with checked parameters; write it and one HTML report."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="operatorlab")
def root() -> None:
    """A laboratory in which an AI operator runs real distributed systems.

    \b
    operatorlab up ratelimiter                       a real cluster, in about two seconds
    operatorlab faults inject node_crash             break it
    python -m operatorlab.monitor --subject ratelimiter
    operatorlab agent run --brain runbook --once     let an operator repair it
    operatorlab audit show                           read what it thought and did
    operatorlab down
    """


def main() -> None:
    """Run the command line: errors of the lab become plain text and their own exit codes."""
    try:
        # Without click's standalone mode `ctx.exit(n)` comes back as the return value.
        code = root.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except OperatorLabError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # The reader went away (`operatorlab audit list | head`); Python would complain once more at exit.
        sys.stderr.close()
        sys.exit(141)
