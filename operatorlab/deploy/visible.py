"""What of this machine is to be seen inside the boundary: programs and libraries, never the laboratory itself.

All of it is read-only. Of Python's packages, the laboratory, its subjects and what says what they consist of are
covered; of a subject, only the modules that its processes run are laid out, in a folder of their own.
"""

from __future__ import annotations

import importlib.util
import inspect
import site
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution, entry_points
from pathlib import Path

import operatorlab
from operatorlab import home
from operatorlab.deploy import link
from operatorlab.errors import ContractBroken
from operatorlab.subject import Blueprint, Subject

CODE = Path("/opt/lab")
"""Where the subject's own code lies, as seen inside."""
LINK = CODE / "link.py"
_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = (
    "alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types", "services", "protocols",
    "ssl/certs", "ssl/openssl.cnf", "terminfo", f"python{sys.version_info.major}.{sys.version_info.minor}",
)  # fmt: skip


def mounts(subject: Subject, blueprint: Blueprint) -> list[str]:
    """The arguments of bwrap that lay all of it out."""
    system, shown = _system()
    source = Path(inspect.getfile(operatorlab)).parent.parent
    if (source / "pyproject.toml").exists() and _below(source, shown):
        system += _cover(source)
    for folder in _python():
        system += _bind(folder, folder)
    shown += _python()
    covered = [path for path in sorted(_hidden(subject)) if path.is_dir() and _below(path, shown)]
    covers = [argument for path in covered for argument in _cover(path)]
    code = [argument for found, target in _code(subject) for argument in _bind(found, target)]
    for program in {Path(process.argv[0]) for process in blueprint.processes}:
        if program.is_absolute() and not _below(program, shown):
            code += _bind(program.resolve(), program)
    closed = [argument for path in covered for argument in ("--remount-ro", str(path))]
    return [*system, *covers, *code, *closed]


def _system() -> tuple[list[str], list[Path]]:
    """Programs, libraries and their settings, and the folders that show them."""
    argv, shown = _bind(Path("/usr"), Path("/usr")), [Path("/usr")]
    for top in (Path("/") / name for name in _TOP):
        if top.is_symlink():
            argv += ["--symlink", str(top.readlink()), str(top)]
        elif top.is_dir():
            argv += _bind(top, top)
            shown.append(top)
    for path in (Path("/etc") / name for name in _ETC):
        if path.exists():
            argv += _bind(path, path)
    return argv, shown


def _cover(path: Path) -> list[str]:
    return ["--size", "65536", "--perms", "0755", "--tmpfs", str(path)]


def _bind(source: Path, target: Path) -> list[str]:
    """Show `source` at `target`, with readable folders above it: bwrap would make them for root alone."""
    above = [str(folder) for folder in reversed(target.parents) if folder != Path("/")]
    made = [argument for folder in above for argument in ("--perms", "0755", "--dir", folder)]
    # A folder that is shown already cannot be made in: it is there.
    return [*([] if target.is_relative_to("/usr") else made), "--ro-bind", str(source), str(target)]


def _python() -> list[Path]:
    """The folders of this Python and its packages that do not lie in /usr."""
    folders = [Path(sys.base_prefix), Path(sys.base_exec_prefix), Path(sys.prefix)]
    if site.ENABLE_USER_SITE:
        folders.append(Path(site.getusersitepackages()))
    found: list[Path] = []
    for folder in folders:
        if folder.is_dir() and not _below(folder, [Path("/usr"), *found]):
            found.append(folder)
    return found


def _hidden(subject: Subject) -> set[Path]:
    """What must not be seen even where it lies in a folder that is shown."""
    hidden = {home.home(), Path(inspect.getfile(operatorlab)).parent, _top_package(subject)}
    points = list(entry_points(group="operatorlab.subjects"))
    for point in points:
        spec = importlib.util.find_spec(point.module.partition(".")[0])
        hidden |= {Path(folder) for folder in (spec.submodule_search_locations or ())} if spec else set()
    found = [distribution("operatorlab"), *(point.dist for point in points if point.dist)]
    return hidden | {folder for one in found for folder in _metadata(one)}


def _top_package(subject: Subject) -> Path:
    folder = Path(inspect.getfile(type(subject))).resolve().parent
    while (folder.parent / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _metadata(package: Distribution) -> Iterator[Path]:
    """The folder that lists a package's files; a file's name can be telling."""
    for file in package.files or ():
        if file.name in {"RECORD", "METADATA"} and len(file.parts) == 2:
            yield Path(str(file.locate())).parent


def _code(subject: Subject) -> Iterator[tuple[Path, Path]]:
    yield Path(inspect.getfile(link)), LINK
    for name in subject.runtime:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ContractBroken(subject.name, [f"there is no module {name!r}, of which `runtime` says it needs it"])
        package = bool(spec.submodule_search_locations)
        source = Path(spec.origin).parent if package else Path(spec.origin)
        target = CODE / Path(*name.split("."))
        yield source, target if package else target.with_suffix(source.suffix)
    if not subject.runtime:
        folder = Path(inspect.getfile(type(subject))).resolve().parent
        yield folder, folder


def _below(path: Path, folders: Iterable[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)
