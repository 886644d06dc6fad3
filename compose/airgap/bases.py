"""The base images, under upstream's names, from Debian packages: debootstrap, `docker import`, and apt in builds."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from building import (
    DEBIAN,
    LABEL,
    PROMETHEUS,
    PYTHON,
    REDIS,
    CannotBuild,
    build,
    digest,
    inspect,
    made_from,
    make,
    say,
)

HERE = Path(__file__).resolve().parent
_SUITE = "bookworm"
_ON_DEBIAN = {PYTHON: "python", REDIS: "redis", PROMETHEUS: "prometheus"}
_UNWANTED = ("doc", "man", "info", "locale")
_APT = """\
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
"""


def make_bases() -> None:
    """Make those that are not there; one that somebody else made is left alone."""
    _base(DEBIAN, digest(Path(__file__).read_bytes()), _bootstrap)
    for image, folder in _ON_DEBIAN.items():
        dockerfile = HERE / folder / "Dockerfile"
        made_of = digest(dockerfile.read_bytes(), inspect(DEBIAN, "{{.Id}}") or "")
        _base(image, made_of, partial(build, image, dockerfile, {}))


def _base(image: str, made_of: str, how: Callable[[str], None]) -> None:
    if made_from(image) == "":
        say(f"{image}: is here, and not made by this command; left alone")
    else:
        make(image, made_of, how)


def _bootstrap(made_of: str) -> None:
    """A minimal Debian as an image."""
    if os.geteuid() != 0:
        raise CannotBuild("debootstrap needs root. Try: sudo compose/airgap/build")
    if not shutil.which("debootstrap"):
        raise CannotBuild("there is no debootstrap. On Debian and Ubuntu: apt-get install debootstrap")
    mirror = os.environ.get("OPERATORLAB_DEBIAN_MIRROR", "http://deb.debian.org/debian").rstrip("/")
    with tempfile.TemporaryDirectory(prefix="operatorlab-debian-") as temporary:
        root = Path(temporary, "root")
        command = ("debootstrap", "--variant=minbase", _SUITE, root, mirror)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotBuild("debootstrap failed; is the mirror right?\n" + (done.stdout + done.stderr)[-1500:])
        _trim(root, mirror)
        _import(root, made_of)


def _trim(root: Path, mirror: str) -> None:
    """As upstream's slim image: no documentation, no package lists, apt knows updates and security fixes."""
    shares = [f"usr/share/{name}" for name in _UNWANTED]
    for name in ("var/cache/apt", "var/lib/apt/lists", "var/log", *shares):
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True)
    (root / "etc/dpkg/dpkg.cfg.d/slim").write_text("".join(f"path-exclude /{share}/*\n" for share in shares))
    (root / "etc/apt/apt.conf.d/slim").write_text(_APT)
    suites = ((mirror, _SUITE), (mirror, f"{_SUITE}-updates"), (f"{mirror}-security", f"{_SUITE}-security"))
    (root / "etc/apt/sources.list").write_text("".join(f"deb {where} {suite} main\n" for where, suite in suites))


def _import(root: Path, made_of: str) -> None:
    changes = ("--change", f"LABEL {LABEL}={made_of}", "--change", 'CMD ["bash"]')
    with subprocess.Popen(("tar", "-C", root, "--numeric-owner", "-c", "."), stdout=subprocess.PIPE) as tar:
        command = ("docker", "import", *changes, "-", DEBIAN)
        done = subprocess.run(command, stdin=tar.stdout, capture_output=True, text=True, check=False)
    if done.returncode or tar.returncode:
        raise CannotBuild(f"docker import failed: {done.stderr.strip()}")
