"""What the repository promises about itself."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()


def _locked() -> dict[str, list[str]]:
    versions: dict[str, list[str]] = {}
    for line in LOCK.splitlines():
        if found := re.match(r"([A-Za-z0-9._-]+)==([^ ;]+)", line):
            versions.setdefault(_plain(found[1]), []).append(found[2])
    return versions


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("wanted", [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]], ids=str)
def test_the_lock_has_every_dependency_at_a_version_that_fits(wanted: str):
    requirement = Requirement(wanted)
    versions = _locked().get(_plain(requirement.name), [])
    assert versions, "not locked; run `make lock`"
    assert all(requirement.specifier.contains(version) for version in versions)


def test_the_lock_names_no_host():
    assert "://" not in LOCK


@pytest.mark.parametrize("notebook", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_notebooks_are_committed_without_outputs_and_stay_small(notebook: Path):
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    assert len(cells) <= 12
    assert all(len(cell["source"]) <= 10 for cell in cells)


def test_the_readme_is_short_and_its_links_lead_somewhere():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert (ROOT / target).exists(), target


def test_make_help_lists_every_target():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout
    targets = re.findall(r"^\.PHONY: (\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert len(targets) >= 8
    for target in targets:
        assert re.search(rf"^  make {target} ", shown, re.MULTILINE), target


def test_python_files_stay_readable():
    for path in subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    ).stdout.split():
        if (ROOT / path).is_file():
            assert len((ROOT / path).read_text().splitlines()) <= 400, path
