"""What docs/audit.md tells people to run, runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from operatorlab.audit import AuditStore
from operatorlab.audit.migrations import TABLES
from operatorlab.cli.audit import audit

_DOCS = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
_QUERIES = re.findall(r'^sqlite-utils query "\$\(operatorlab audit path\)" "\n(.*?)"', _DOCS, re.DOTALL | re.MULTILINE)


def test_there_are_five_queries() -> None:
    assert len(_QUERIES) == 5


def test_every_query_runs_by_sqlite_utils_and_finds_something(store: AuditStore, path: Path, tell) -> None:
    tell(store)
    tell(store, "ratelimiter-bbbbbb", ended=False)
    for sql in _QUERIES:
        command = [sys.executable, "-m", "sqlite_utils", "query", str(path), sql]
        rows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        assert rows, sql
        assert any(value is not None for value in rows[0].values())


def test_the_whole_line_works_in_a_shell(store: AuditStore, path: Path, tell) -> None:
    tell(store)
    first = _DOCS[_DOCS.index("sqlite-utils query") :].split("```", maxsplit=1)[0]
    bin_ = Path(sys.executable).parent
    environment = {"PATH": f"{bin_}:{os.environ['PATH']}", "OPERATORLAB_HOME": str(path.parent)}
    if not (bin_ / "operatorlab").exists() or not (bin_ / "sqlite-utils").exists():
        pytest.skip("the commands are not installed beside this Python")
    shown = subprocess.run(["sh", "-c", first], env=environment, check=True, capture_output=True, text=True)
    assert "resolved_verified" in shown.stdout


def test_every_command_and_table_is_documented() -> None:
    assert [name for name in audit.commands if name != "list" and f"`operatorlab audit {name}" not in _DOCS] == []
    assert [name for name in TABLES if f"`{name}`" not in _DOCS] == []


def test_the_example_in_python_runs(store: AuditStore, path: Path, tell) -> None:
    tell(store)
    (example,) = re.findall(r"```python\n(.*?)```", _DOCS, re.DOTALL)
    environment = {**os.environ, "OPERATORLAB_HOME": str(path.parent)}
    command = [sys.executable, "-c", example]
    shown = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert "refuses" in shown
