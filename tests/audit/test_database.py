"""What sqlite-utils is imported with."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("command", ["operatorlab.monitor", "operatorlab.sandbox.guard"])
def test_a_command_of_ours_imports_no_pandas_and_no_numpy(command):
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", command, "--help"], capture_output=True, text=True, check=False
    )
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert "sqlite_utils.db" in imported
    assert not imported & {"pandas", "numpy"}


def test_in_somebody_elses_process_sqlite_utils_writes_what_pandas_and_numpy_hold():
    script = """
import operatorlab.audit
import numpy, sqlite_utils
table = sqlite_utils.Database(memory=True)["t"]
table.insert({"n": numpy.int64(3)})
print(table.schema)
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "[n] INTEGER" in said or '"n" INTEGER' in said
