"""Subjects are found by name and by path, and only good ones are handed out."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from operatorlab.errors import ContractBroken, UnknownName
from operatorlab.registry import find_subject, locator, subject_names, subjects
from operatorlab.subject import Subject

EXAMPLE = Path(__file__).parent.parent / "deploy" / "example"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A subject in a folder of one's own, on no path."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "mine"))


def test_installed_subjects_are_found_by_name():
    assert "ratelimiter" in subject_names()
    assert find_subject("ratelimiter").name == "ratelimiter"
    assert set(subjects()) == set(subject_names())


def test_a_subject_is_found_by_its_folder_and_by_its_file(mine: Path):
    for path in (mine, mine / "subject.py", str(mine)):
        found = find_subject(path)
        assert isinstance(found, Subject)
        assert found.name == "example"


def test_a_folder_may_be_a_package(mine: Path):
    (mine / "__init__.py").write_text('NAME = "packed"')
    text = (mine / "subject.py").read_text().replace("from .server", "from . import NAME\nfrom .server")
    (mine / "subject.py").write_text(text.replace('name = "example"', "name = NAME"))
    assert find_subject(mine).name == "packed"


def test_a_subject_of_an_importable_package_is_loaded_under_its_own_name():
    import subjects.ratelimiter.subject as module

    assert type(find_subject(Path(module.__file__))) is module.RateLimiter


def test_it_can_be_found_again_in_another_process(mine: Path):
    assert locator(find_subject("ratelimiter")) == "ratelimiter"
    where = locator(find_subject(mine))
    assert where == str(mine / "subject.py")
    code = f"from operatorlab.registry import find_subject; print(find_subject({where!r}).name)"
    assert subprocess.check_output([sys.executable, "-c", code], cwd="/", text=True).strip() == "example"


def test_an_unknown_name_is_told_with_what_was_meant():
    with pytest.raises(UnknownName, match="did you mean 'ratelimiter'"):
        find_subject("ratelimitr")
    with pytest.raises(UnknownName, match=r"no subject is called '\./nowhere'"):
        find_subject("./nowhere")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1", "it must define exactly one Subject; it defines none"),
        ("import no_such_module", "cannot be imported: ModuleNotFoundError"),
        ("def (", "cannot be imported: SyntaxError"),
        ("raise RuntimeError('bad day')", "cannot be imported: RuntimeError: bad day"),
        ("from operatorlab.subject import Subject\nclass A(Subject): ...\nclass B(Subject): ...", "it defines A, B"),
        ("from operatorlab.subject import Subject\nclass A(Subject): ...", "abstract method"),
    ],
)
def test_a_file_that_brings_no_subject_is_told_why(tmp_path: Path, text: str, told: str):
    (tmp_path / "subject.py").write_text(text)
    with pytest.raises(ContractBroken) as broken:
        find_subject(tmp_path)
    assert told in str(broken.value)


def test_a_folder_without_a_subject_is_told(tmp_path: Path):
    with pytest.raises(ContractBroken, match=r"the folder has no subject\.py"):
        find_subject(tmp_path)


def test_a_subject_that_breaks_the_contract_is_not_handed_out(mine: Path):
    text = (mine / "subject.py").read_text()
    (mine / "subject.py").write_text(text.replace('expected = ("member_down",)', 'expected = ("moon",)'))
    with pytest.raises(ContractBroken) as told:
        find_subject(mine)
    assert len(told.value.problems) == 2
    assert "fault 'store_crash': it expects the invariant 'moon'" in str(told.value)
