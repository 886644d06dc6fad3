"""What `compose/build` and `compose/airgap/build` share: Docker, digests of what an image is made from, our images.

An image carries the digest of what it was made from as a label. One that is there with the right digest is not made
again; a base image without the label is somebody else's, most likely upstream's, and is never replaced.

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LABEL = "operatorlab.inputs"
DEBIAN = "debian:bookworm-slim"
PYTHON = "python:3.11-slim-bookworm"
REDIS = "redis:7.0.15"
PROMETHEUS = "prom/prometheus:v2.42.0"
GRAFANA = "grafana/grafana:10.4.2"
_WHEELS = "compose/images/ratelimiter/requirements.txt"


class CannotBuild(Exception):
    """What is missing, and what to do about it."""


@dataclass(frozen=True)
class Image:
    """One image of ours: its Dockerfile's folder, the images it starts from, the files it is given."""

    name: str
    folder: str
    bases: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    """Globs below the root of the repository; each file has the same path in the build."""
    wheels: bool = False
    """Whether the packages of `requirements.txt` lie in the build's folder `site`."""


OURS = (
    Image(
        "operatorlab/ratelimiter",
        "compose/images/ratelimiter",
        (PYTHON,),
        (
            "subjects/__init__.py",
            "subjects/ratelimiter/__init__.py",
            "subjects/ratelimiter/limits.py",
            "subjects/ratelimiter/service/*.py",
            "subjects/ratelimiter/workload/*.py",
            "operatorlab/clock.py",
            "compose/ratelimiter/etc/*.json",
        ),
        wheels=True,
    ),
    Image(
        "operatorlab/relay",
        "compose/images/relay",
        (PYTHON,),
        ("operatorlab/deploy/link.py", "operatorlab/deploy/ingress.py", "operatorlab/deploy/reader.py"),
    ),
    Image("operatorlab/prometheus", "compose/images/prometheus", (PROMETHEUS,), ("compose/ratelimiter/prometheus/*",)),
    Image("operatorlab/agent", "compose/agent", (PYTHON, PROMETHEUS), ("compose/agent/docker-compose-plugin",)),
    Image("operatorlab/grafana", "compose/images/grafana", (GRAFANA,), ("compose/ratelimiter/grafana/**/*",)),
)


def say(text: str) -> None:
    """One line of progress."""
    print(text, flush=True)


def version() -> str:
    """Of operatorlab, the tag of our images."""
    found = re.search(r'__version__ = "([^"]+)"', (ROOT / "operatorlab/__init__.py").read_text())
    assert found, "no version"
    return found[1]


def docker(*arguments: str, given: bytes | None = None) -> str:
    """Run the Docker client; its output, or CannotBuild with the end of what it said."""
    done = subprocess.run(["docker", *arguments], input=given, capture_output=True, check=False)
    if done.returncode:
        said = (done.stdout + b"\n" + done.stderr).decode(errors="replace").strip().splitlines()
        raise CannotBuild(f"docker {' '.join(arguments[:2])} failed:\n  " + "\n  ".join(said[-15:]))
    return done.stdout.decode()


def inspect(image: str, what: str) -> str | None:
    """A field of an image, as a template names it; None if there is no such image."""
    command = ["docker", "image", "inspect", "--format", what, image]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def made_from(image: str) -> str | None:
    """The digest an image of ours carries; empty for somebody else's, None if there is none."""
    return inspect(image, f'{{{{index .Config.Labels "{LABEL}"}}}}')


def digest(*parts: str | bytes) -> str:
    """One digest of several texts."""
    found = hashlib.sha256()
    for part in parts:
        found.update(hashlib.sha256(part.encode() if isinstance(part, str) else part).digest())
    return found.hexdigest()


def build(image: str, dockerfile: Path, files: dict[str, bytes], made_of: str) -> None:
    """Build an image from a Dockerfile and the files it may copy."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        for name, data in {**files, "Dockerfile": dockerfile.read_bytes()}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755 if data.startswith(b"#!") else 0o644
            archive.addfile(entry, io.BytesIO(data))
    docker("build", "--tag", image, "--label", f"{LABEL}={made_of}", "-", given=context.getvalue())


def make(image: str, made_of: str, how: Callable[[str], None]) -> None:
    """Make an image from what has that digest, unless it is there; says what it did, and how long it took."""
    if made_from(image) == made_of:
        say(f"{image}: up to date")
        return
    began, before = time.monotonic(), inspect(image, "{{.Id}}")
    say(f"{image}: making it …")
    how(made_of)
    if before and before != inspect(image, "{{.Id}}"):
        _runs("docker", "image", "rm", before)  # Docker keeps it while something runs on it
    say(f"{image}: made in {time.monotonic() - began:.0f} s")


def build_ours() -> None:
    """Our own images, from bases that are there; Grafana's only if its base is."""
    for image in OURS:
        if GRAFANA in image.bases and inspect(GRAFANA, "{{.Id}}") is None:
            say(f"{image.name}: skipped, because {GRAFANA} is not here; the profile grafana does without")
            continue
        _build_one(image)


def _build_one(image: Image) -> None:
    dockerfile = ROOT / image.folder / "Dockerfile"
    files = {str(path.relative_to(ROOT)): path.read_bytes() for path in _inputs(image)}
    parts: list[str | bytes] = [dockerfile.read_bytes(), *(inspect(base, "{{.Id}}") or "" for base in image.bases)]
    for name, data in files.items():
        parts += [name, data]
    if image.wheels:
        parts.append((ROOT / _WHEELS).read_bytes())

    name = f"{image.name}:{version()}"

    def how(made_of: str) -> None:
        build(name, dockerfile, files | (_packages() if image.wheels else {}), made_of)

    make(name, digest(*parts), how)


def _inputs(image: Image) -> Iterator[Path]:
    for pattern in image.inputs:
        found = sorted(path for path in ROOT.glob(pattern) if path.is_file())
        if not found:
            raise CannotBuild(f"{ROOT / pattern} is missing; is this all of the repository, or of the package?")
        yield from found


def _packages() -> dict[str, bytes]:
    """The nodes' Python packages, installed here because a build may reach no package index."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(docker("version", "--format", "{{.Server.Arch}}").strip())
    if machine is None:
        raise CannotBuild("images are made for amd64 and arm64 only")
    with tempfile.TemporaryDirectory(prefix="operatorlab-") as folder:
        what = ("--quiet", "--no-deps", "--only-binary=:all:", "--target", folder, "--requirement", str(ROOT / _WHEELS))
        done = subprocess.run([*_installer(machine), *what], capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotBuild(f"cannot install the packages of {_WHEELS}:\n{done.stderr.strip()[-1500:]}")
        below = sorted(path for path in Path(folder).rglob("*") if path.is_file() and path.suffix != ".pyc")
        return {f"site/{path.relative_to(folder)}": path.read_bytes() for path in below}


def _installer(machine: str) -> Sequence[str]:
    """pip, of this Python or of another, told of the image's Python rather than of its own; uv where there is none."""
    platforms = [f"--platform={name}_{machine}" for name in ("manylinux_2_28", "manylinux_2_17", "manylinux2014")]
    told = ("--no-compile", *platforms, "--python-version=3.11", "--implementation=cp")
    for python in (sys.executable, shutil.which("python3"), "/usr/bin/python3"):
        if python and _runs(python, "-m", "pip", "--version"):
            return (python, "-m", "pip", "install", *told)
    if uv := shutil.which("uv"):
        return (uv, "pip", "install", f"--python-platform={machine}-manylinux_2_28", "--python-version=3.11")
    raise CannotBuild("neither pip nor uv is here. On Debian: apt-get install python3-pip")


def _runs(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other build of this folder runs."""
    with Path(__file__).open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another build to end …")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(description: str, work: Callable[[], None]) -> int:
    """Be a command without arguments: help, one build at a time, errors as one line."""
    argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    began = time.monotonic()
    try:
        if not shutil.which("docker"):
            raise CannotBuild("there is no docker. On Debian: apt-get install docker.io docker-compose")
        docker("version", "--format", "{{.Server.Version}}")
        with _alone():
            work()
    except CannotBuild as trouble:
        print(f"Error: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    say(f"all images are ready ({time.monotonic() - began:.0f} s)")
    return 0
