"""Is what a subject wants to run something a lab can run? Part of the contract's check.

The blueprint is asked for with made-up ports and a made-up folder; nothing is started or written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from operatorlab.deploy.supervisor import all_processes, unwritable
from operatorlab.deploy.system import CONF, link_file
from operatorlab.errors import EnvironmentTrouble
from operatorlab.subject import Blueprint, Link, Process, Site, Subject

_RESERVED_ENV = ("OPERATORLAB_", "SUPERVISOR_")
_TOOLS = PurePosixPath("bin")


def blueprint_problems(subject: Subject) -> list[str]:
    """Every reason why the blueprint of `subject` cannot be run; its names must be checked before."""
    ports = {name: 20_000 + number for number, name in enumerate(subject.ports)}
    site = Site("a-run", Path("/nowhere/runs/a-run/system"), ports)
    try:
        first: object = subject.blueprint(site)
        second: object = subject.blueprint(site)
    except EnvironmentTrouble:
        raise
    except Exception as trouble:  # noqa: BLE001 whatever it raises, it is the author's to know
        return [f"blueprint() failed: {type(trouble).__name__}: {trouble}"]
    if not isinstance(first, Blueprint):
        return [f"blueprint() must return a Blueprint, not {first!r}"]
    same = [] if first == second else ["blueprint() of the same site must be the same each time; a reset relies on it"]
    if shape := list(_shape(first)):
        return shape
    problems = [*same, *_processes(first, subject), *_links(first, subject), *_files(first)]
    return [f"blueprint: {problem}" for problem in problems]


# What a blueprint claims to hold is what is being checked: here its types are not believed.


def _shape(blueprint: Any) -> Iterator[str]:
    for field in ("processes", "links"):
        if not isinstance(getattr(blueprint, field), tuple):
            yield f"blueprint: {field} must be a tuple, not {getattr(blueprint, field)!r}"
    if not isinstance(blueprint.files, Mapping):
        yield f"blueprint: files must be a mapping from paths to texts, not {blueprint.files!r}"


def _processes(blueprint: Any, subject: Subject) -> Iterator[str]:
    good = []
    for process in blueprint.processes:
        if isinstance(process, Process):
            yield from (f"process {process.name!r}: {why}" for why in _process(process))
            good.append(process)
        else:
            yield f"{process!r} is not a Process"
    names = [process.name for process in good]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"process {name!r} appears more than once"
    for member in subject.members:
        if member.name not in names:
            yield f"member {member.name!r} has no process of its name"


def _process(process: Any) -> Iterator[str]:
    if not isinstance(process.name, str) or not process.name or set(process.name) & set("/:,;% \t\n[]"):
        yield "its name must do as a file name, without spaces or any of / : , ; % [ ]"
    if not isinstance(process.order, int) or not 0 <= process.order <= 999:
        yield f"its order must be a number from 0 to 999, not {process.order!r}"
    if not isinstance(process.argv, tuple) or not process.argv or not all(isinstance(one, str) for one in process.argv):
        yield f"argv must be a tuple of strings, not {process.argv!r}"
    else:
        yield from (
            f"argv {one!r} cannot be run by supervisord: {unwritable(one)}" for one in process.argv if unwritable(one)
        )
    if not isinstance(process.env, Mapping) or not all(isinstance(x, str) for kv in process.env.items() for x in kv):
        yield f"env must map strings to strings, not {process.env!r}"
        return
    for name, value in process.env.items():
        if name.startswith(_RESERVED_ENV) or not name.isidentifier():
            yield f"env cannot set {name!r}"
        if why := unwritable(value, quoted=True):
            yield f"env {name!r} cannot be set by supervisord: {why}"


def _links(blueprint: Any, subject: Subject) -> Iterator[str]:
    members = {member.name for member in subject.members}
    links = [link for link in blueprint.links if isinstance(link, Link)]
    yield from (f"{link!r} is not a Link" for link in blueprint.links if not isinstance(link, Link))
    for link in links:
        where = f"link from {link.source!r} to {link.target!r}"
        yield from (f"{where}: {end!r} is no member" for end in (link.source, link.target) if end not in members)
        for port in (link.listen, link.upstream):
            if port not in subject.ports:
                yield f"{where}: {port!r} is not among the subject's ports"
        if link.listen == link.upstream or link.listen in members:
            yield f"{where}: it must listen on a port of its own, not on {link.listen!r}"
    listening = [link.listen for link in links]
    for port in sorted({port for port in listening if listening.count(port) > 1}):
        yield f"several links listen on {port!r}"
    pairs = [(link.source, link.target) for link in links]
    for source, target in sorted({pair for pair in pairs if pairs.count(pair) > 1}):
        yield f"there are several links from {source!r} to {target!r}"
    names = [process.name for process in all_processes(Blueprint((), tuple(links)))]
    for name in sorted({one.name for one in blueprint.processes if isinstance(one, Process)} & set(names)):
        yield f"process {name!r} has the name of a link's process"


def _files(blueprint: Any) -> Iterator[str]:
    reserved = {PurePosixPath(CONF), *(PurePosixPath(link_file(x)) for x in blueprint.links if isinstance(x, Link))}
    for name, text in blueprint.files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            yield f"file {name!r} must lie below the folder of the system"
        elif path in reserved or path.parts[0] == _TOOLS.name:
            yield f"file {name!r} is the lab's own"
        if not isinstance(text, str):
            yield f"file {name!r} must be text, not {type(text).__name__}"
