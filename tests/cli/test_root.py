"""The root of the command line: quick, complete, and plain about errors."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from operatorlab.cli import COMMANDS, LazyGroup, root

HEAVY = ("anthropic", "pandas", "sqlite_utils", "docker", "papermill", "altair", "rich", "asyncio")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "operatorlab", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment or None, check=False)


SHOW_HEAVY = """
import sys
from operatorlab.cli import main
sys.argv = ["operatorlab", "--help"]
try:
    main()
finally:
    print("heavy:", sorted(set(sys.modules) & set({heavy!r})))
"""


def test_help_imports_nothing_heavy():
    command = [sys.executable, "-c", SHOW_HEAVY.format(heavy=HEAVY)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("heavy: []\n")


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    found: list[tuple[tuple[str, ...], click.Command]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append(((*path, name), command))
        if isinstance(command, click.Group):
            found += _commands(command, (*path, name))
    return found


ALL = _commands(root) if isinstance(root, LazyGroup) else []


@pytest.mark.parametrize(("path", "command"), ALL, ids=[" ".join(path) for path, _ in ALL])
def test_every_command_helps_with_an_example(path: tuple[str, ...], command: click.Command):
    result = CliRunner().invoke(root, [*path, "--help"])
    assert result.exit_code == 0
    assert "operatorlab" in (command.help or ""), "the help shows no example"
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{parameter.name} has no help"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_table_says_what_the_command_says(name: str):
    command = root.get_command(click.Context(root), name)
    assert command is not None
    assert COMMANDS[name][1].split(";")[0].rstrip(".") in " ".join((command.help or "").split())


def test_an_error_is_plain_text_with_its_own_exit_code(tmp_path: Path):
    result = run("up", "ratelimter", OPERATORLAB_HOME=str(tmp_path))
    assert result.returncode == 2
    assert "did you mean 'ratelimiter'?" in result.stderr
    assert "Traceback" not in result.stderr
    assert not result.stdout


def test_an_unknown_command_and_an_unknown_option_are_usage_errors():
    assert run("upp").returncode == 2
    assert run("up", "--nosuch").returncode == 2


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path):
    command = f"{sys.executable} -m operatorlab --help | head -n 1; exit ${{PIPESTATUS[1]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0
    assert "Traceback" not in result.stderr
