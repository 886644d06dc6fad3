"""The two builds: what is up to date is left, what somebody else made is left, and errors say what to do."""

from __future__ import annotations

import importlib.util
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from .conftest import ROOT, docker

BUILDS = ("compose/build", "compose/airgap/build")


@pytest.fixture
def building(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that both builds share; it is in no package."""
    spec = importlib.util.spec_from_file_location("building", ROOT / "compose/images/building.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "building", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def image(docker_engine: None) -> Iterator[str]:
    """A name for an image, which is removed again."""
    name = f"operatorlab-test/{secrets.token_hex(4)}:1"
    yield name
    docker("image", "rm", "--force", name, check=False)


@pytest.mark.parametrize("script", BUILDS)
def test_help_says_what_it_does(script: str):
    done = subprocess.run([ROOT / script, "--help"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0
    assert "Make every image the stacks need" in done.stdout


@pytest.mark.parametrize("script", BUILDS)
def test_without_docker_it_says_what_to_install(script: str, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, ROOT / script],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "Error: there is no docker. On Debian: apt-get install docker.io docker-compose\n"


@pytest.mark.parametrize("script", BUILDS)
def test_a_docker_that_does_not_answer_is_an_error_in_words(docker_engine: None, script: str, tmp_path: Path):
    nowhere = {"PATH": "/usr/bin:/bin", "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    done = subprocess.run(
        [sys.executable, ROOT / script], env=nowhere, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: docker version")
    assert "Traceback" not in done.stderr


def test_an_image_is_made_once_and_again_when_it_would_differ(
    building: ModuleType, image: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM scratch\nCOPY folder /\n")

    def make(text: bytes) -> None:
        made_of = building.digest(dockerfile.read_bytes(), text)
        building.make(image, made_of, lambda made_of: building.build(image, dockerfile, {"folder/a": text}, made_of))

    make(b"one")
    first = building.inspect(image, "{{.Id}}")
    make(b"one")
    assert building.inspect(image, "{{.Id}}") == first
    assert capsys.readouterr().out.count("up to date") == 1
    make(b"two")
    assert building.inspect(image, "{{.Id}}") not in (first, None)
    assert building.inspect(first, "{{.Id}}") is None, "the old one is gone"


def test_an_image_of_somebody_else_is_known_as_such(building: ModuleType, image: str, tmp_path: Path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    assert building.made_from(image) is None
    docker("build", "--tag", image, str(tmp_path))
    assert building.made_from(image) == ""


def test_a_build_that_fails_tells_how_it_ended(building: ModuleType, image: str, tmp_path: Path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY missing /\n")
    with pytest.raises(building.CannotBuild, match=r"docker build .*failed(?s:.*)missing"):
        building.build(image, tmp_path / "Dockerfile", {}, "any")


def test_every_file_an_image_is_given_is_there(building: ModuleType):
    for one in building.OURS:
        assert (ROOT / one.folder / "Dockerfile").is_file()
        assert list(building._inputs(one))
        assert not [path for path in building._inputs(one) if "__pycache__" in path.parts]


@pytest.mark.slow
def test_two_builds_at_once_wait_for_one_another(images: None):
    """Everything is there already, so that both are quick."""
    both = [subprocess.Popen([ROOT / BUILDS[1]], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=170)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert all("all images are ready" in text for text in told)
