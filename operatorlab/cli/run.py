"""`operatorlab run`: a notebook as a program, with a verdict as its exit code."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from operatorlab.notebook.parameters import Parameters
    from operatorlab.notebook.run import NotebookRun


@click.command()
@click.argument("notebook", type=click.Path(path_type=Path))
@click.option("-p", "given", nargs=2, multiple=True, metavar="NAME VALUE", help="Set a parameter; may be repeated.")
@click.option("--parameters", "list_only", is_flag=True, help="List the notebook's parameters and stop.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Folder to write to [default: runs/<run id> of the lab]."
)
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Interrupt after this many seconds.")
@click.option(
    "--report/--no-report", default=True, help="Write one self-contained HTML file as well.  [default: report]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the run as JSON, without progress.")
@click.pass_context
def run(
    ctx: click.Context,
    notebook: Path,
    *,
    given: tuple[tuple[str, str], ...],
    list_only: bool,
    output: Path | None,
    timeout: float | None,
    report: bool,
    as_json: bool,
) -> None:
    """Run a notebook with checked parameters; write it and one HTML report.

    \b
    operatorlab run notebooks/00_quickstart.ipynb
    operatorlab run notebooks/00_quickstart.ipynb -p fault node_hang -p seed 11
    operatorlab run notebooks/00_quickstart.ipynb --parameters

    The exit code is 0 only if every cell ran and the notebook's last cell recorded a success; 1 if not;
    2 for a parameter that does not fit; 130 after Ctrl-C. Interrupting leaves nothing running.
    """
    from operatorlab.notebook.parameters import model_of, parse
    from operatorlab.notebook.run import run_notebook

    model = model_of(notebook)
    if list_only:
        _list(model, as_json=as_json)
        return
    parameters = parse(model, dict(given))
    done = asyncio.run(
        run_notebook(notebook, parameters, folder=output, timeout_s=timeout, report=report, progress=not as_json)
    )
    click.echo(done.model_dump_json(indent=2) if as_json else _summary(done))
    ctx.exit(_exit_code(done))


def _list(model: type[Parameters], *, as_json: bool) -> None:
    from operatorlab.notebook.parameters import listing

    if as_json:
        import json
        from dataclasses import asdict

        click.echo(json.dumps([asdict(one) for one in listing(model)], indent=2))
        return
    rows = [(f"{one.name}: {one.type} = {one.default!r}", one.meaning) for one in listing(model)]
    formatter = click.HelpFormatter()
    formatter.write_dl(rows or [("(none)", "this notebook takes no parameters")])
    click.echo(formatter.getvalue(), nl=False)


def _summary(done: NotebookRun) -> str:
    from operatorlab.home import audit_path

    verdict = done.result.outcome if done.result else str(done.ending)
    why = "success" if done.success else done.error or "no success"
    lines = [
        ("outcome", f"{verdict} ({why}), after {done.took_s:.1f} s", ""),
        ("notebook", str(done.notebook), f"{_tool('jupyter')} lab {_word(done.notebook)}"),
    ]
    if done.report:
        lines.append(("report", str(done.report), f"xdg-open {_word(done.report)}   (any browser, no network needed)"))
    lines.append(("audit", str(audit_path()), f"{_tool('operatorlab')} audit show"))
    shown = [f"{name:9} {what}" + (f"\n{'':12} open: {how}" if how else "") for name, what, how in lines]
    return "\n".join(["", *shown])


def _tool(name: str) -> str:
    """How to call a program of this environment from the present folder, on PATH or not."""
    beside = Path(sys.executable).with_name(name)
    if shutil.which(name) or not beside.exists():
        return name
    return _word(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)


def _word(path: Path) -> str:
    return shlex.quote(str(path))


def _exit_code(done: NotebookRun) -> int:
    if done.success:
        return 0
    return 128 + done.signal if done.signal is not None else 1
