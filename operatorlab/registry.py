"""Where subjects and their faults are found: by name, through the entry points `operatorlab.subjects`, or by path.

A path is a folder with a `subject.py` in it, or a Python file; it defines one `Subject`. Whatever is
found is checked against the contract before anyone gets to use it.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import inspect
import sys
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TypeGuard

from operatorlab.composites import deployments
from operatorlab.errors import ContractBroken, UnknownName
from operatorlab.subject import Composite, Fault, Subject
from operatorlab.validate import check

GROUP = "operatorlab.subjects"


def subject_names() -> list[str]:
    """The names of the installed subjects; nothing is loaded."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def subjects() -> dict[str, Subject]:
    """Every installed subject by name; ContractBroken if one breaks the contract."""
    return {name: find_subject(name) for name in subject_names()}


def find_subject(name_or_path: str | Path) -> Subject:
    """The subject of that name, or the one at that path. UnknownName, or ContractBroken with every problem."""
    text = str(name_or_path)
    points = [point for point in entry_points(group=GROUP) if point.name == text]
    if points:
        return _installed(points)
    path = Path(text).expanduser()
    if path.exists():
        return _at(path.resolve())
    step = "give its name, or the path of a folder with a subject.py"
    raise UnknownName("subject", text, subject_names(), next_step=step)


def locator(subject: Subject) -> str:
    """What `find_subject` takes to find `subject` again, in another process: its name or its path."""
    for point in entry_points(group=GROUP):
        if point.name == subject.name and point.value == f"{type(subject).__module__}:{type(subject).__qualname__}":
            return point.name
    return str(Path(inspect.getfile(type(subject))).resolve())


def _installed(points: list[EntryPoint]) -> Subject:
    name = points[0].name
    if len({point.value for point in points}) > 1:
        raise ContractBroken(name, [f"several packages bring a subject of this name: {[p.value for p in points]}"])
    try:
        found = points[0].load()
    except Exception as trouble:
        raise ContractBroken(name, [f"{points[0].value} cannot be imported: {_told(trouble)}"]) from trouble
    subject = _instance(found, points[0].value)
    if subject.name != name:
        raise ContractBroken(name, [f"it is installed as {name!r} but calls itself {subject.name!r}"])
    return subject


def _at(path: Path) -> Subject:
    file = path / "subject.py" if path.is_dir() else path
    if not file.is_file():
        raise ContractBroken(str(path), ["the folder has no subject.py"])
    try:
        module = _load(file)
    except Exception as trouble:
        raise ContractBroken(str(file), [f"it cannot be imported: {_told(trouble)}"]) from trouble
    own = [value for value in vars(module).values() if _is_subject(value) and value.__module__ == module.__name__]
    found = [value for value in own if not inspect.isabstract(value)] or own
    if len(found) != 1:
        names = ", ".join(one.__name__ for one in found) or "none"
        raise ContractBroken(str(file), [f"it must define exactly one Subject; it defines {names}"])
    return _instance(found[0], str(file))


def _instance(found: object, where: str) -> Subject:
    if not isinstance(found, type):
        raise ContractBroken(where, [f"it must be a class, a subclass of Subject, and is {found!r}"])
    try:
        subject = found()
    except Exception as trouble:
        raise ContractBroken(where, [f"{found.__name__}() failed: {_told(trouble)}"]) from trouble
    return check(subject)


def _is_subject(value: object) -> TypeGuard[type[Subject]]:
    return isinstance(value, type) and issubclass(value, Subject)


def _load(file: Path) -> ModuleType:
    """Import `file`, under its own name if it is importable, else under one made from its path."""
    package, top = [file.stem], file.parent
    while (top / "__init__.py").is_file():
        package.insert(0, top.name)
        top = top.parent
    dotted = ".".join(package)
    if len(package) > 1 and _finds(dotted, file):
        return importlib.import_module(dotted)
    alias = f"_operatorlab_subject_{sha256(str(file).encode()).hexdigest()[:12]}"
    _make_package(alias, file.parent)
    return importlib.import_module(f"{alias}.{file.stem}")


def _finds(dotted: str, file: Path) -> bool:
    try:
        spec = importlib.util.find_spec(dotted)
    except ModuleNotFoundError:
        return False
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == file


def _make_package(alias: str, folder: Path) -> None:
    """A package for a folder that is on no path, so that relative imports in it work."""
    if alias in sys.modules:
        return
    start = folder / "__init__.py"
    if start.is_file():
        spec = importlib.util.spec_from_file_location(alias, start, submodule_search_locations=[str(folder)])
    else:
        spec = importlib.machinery.ModuleSpec(alias, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
    if spec is None:
        raise ModuleNotFoundError(f"cannot import from {folder}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module
    if spec.loader:
        spec.loader.exec_module(module)


def _told(trouble: Exception) -> str:
    return f"{type(trouble).__name__}: {trouble}"


def find_composite(subject: Subject, name: str, *, deployment: str | None = None) -> Composite | None:
    """The subject's composite `name`, or None; UnknownName where it cannot be played on that deployment."""
    found = next((one for one in subject.composites if one.name == name), None)
    if found and deployment not in {None, *deployments(found)}:
        known = [one.name for one in subject.composites if deployment in deployments(one)]
        raise UnknownName(f"composite of a lab of {deployment}", name, known)
    return found


def find_fault(subject: Subject, name: str, target: str | None = None, *, deployment: str | None = None) -> Fault:
    """The subject's fault `name`, aimed at `target` or at its default target; UnknownName where it does not exist."""
    known = {fault.name: fault for fault in subject.faults if deployment in {None, *fault.deployments}}
    if name not in known:
        where = f"fault of a lab of {deployment}" if deployment else "fault"
        names = [*known, *(one.name for one in subject.composites if deployment in {None, *deployments(one)})]
        raise UnknownName(where, name, names, next_step=f"operatorlab faults list {subject.name}")
    targets = known[name].targets(subject)
    if target is not None and target not in targets:
        raise UnknownName(f"target of {name}", target, targets)
    return known[name](target or targets[0])
