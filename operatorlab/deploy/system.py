"""The operator's folder of a lab: `etc/` configuration, `data/<process>/`, `log/`, `bin/` tools.

It is written from the subject's blueprint and can be written again, byte for byte. What runs in it gets
a small environment made from a list of allowed names, so that no key or token of the user comes in.
"""

from __future__ import annotations

import json
import os
import shlex
import site as python_site
import sys
from collections.abc import Mapping
from pathlib import Path

from operatorlab.deploy.beneath import Beneath
from operatorlab.deploy.boundary import LAB
from operatorlab.deploy.kin import RUN, SYSTEM
from operatorlab.deploy.place import SUPERVISOR_LOG, Place
from operatorlab.deploy.programs import find_program
from operatorlab.deploy.visible import CODE
from operatorlab.errors import MissingProgram
from operatorlab.home import make_folder
from operatorlab.subject import Blueprint, Link, Site

CONF = Path("etc/supervisord.conf")
_PASSED_ON = (
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "USER",
    "LOGNAME",
    "TERM",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
)
_HARMLESS = ("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "TERM")
_TOOLS = ("redis-cli", "redis-server")


def environment(site: Site) -> dict[str, str]:
    """What the lab's processes and its operator have in their environment. The home is the lab's folder."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    user_base = {"PYTHONUSERBASE": python_site.getuserbase()} if python_site.ENABLE_USER_SITE else {}
    return {
        **passed_on,
        **user_base,
        "PATH": os.pathsep.join([str(site.root / "bin"), *_search_path()]),
        "HOME": str(site.root),
        "PYTHONUNBUFFERED": "1",
        RUN: site.run_id,
        SYSTEM: str(site.root),
    }


def environment_inside(run_id: str) -> dict[str, str]:
    """The same, inside a boundary: nothing of it comes from the user but the language."""
    passed_on = {name: os.environ[name] for name in _HARMLESS if name in os.environ}
    return {
        **passed_on,
        "PATH": f"{LAB}/bin:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
        "HOME": str(LAB),
        "USER": "operator",
        "LOGNAME": "operator",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(CODE),
        RUN: run_id,
        SYSTEM: str(LAB),
    }


def link_name(blueprint: Blueprint, link: Link) -> str:
    """The name of the process that is this link, such as `link-node-1`."""
    only = sum(other.source == link.source for other in blueprint.links) == 1
    return f"link-{link.source}" if only else f"link-{link.source}-{link.target}"


def link_file(link: Link) -> Path:
    """Where the rules of a link are, below the operator's folder."""
    return Path("etc/links", f"{link.source}-{link.target}.json")


def link_applied(link: Link) -> Path:
    """Where a link writes the rules in force, below the operator's folder."""
    return Path("data", link_file(link).stem, "applied.json")


def link_rules(site: Site, link: Link, *, drop: bool = False, delay_s: float = 0.0) -> dict[str, object]:
    """The rules of a link, as its file holds them."""
    return {
        "source": link.source,
        "target": link.target,
        "listen": site.ports[link.listen],
        "upstream": site.ports[link.upstream],
        "drop": drop,
        "delay_s": delay_s,
    }


def write_system(place: Place, site: Site, blueprint: Blueprint, conf: str) -> None:
    """Write the folder: the blueprint's files, the rules of its links, the supervisor's file, the tools."""
    files = place.files
    for name in ("etc", "data", "log", "bin"):
        files.make_folder(name)
    for process in blueprint.processes:
        files.make_folder(f"data/{process.name}")
    texts: dict[Path, str] = {Path(path): text for path, text in blueprint.files.items()}
    for link in blueprint.links:
        texts[link_file(link)] = json.dumps(link_rules(site, link), indent=2) + "\n"
    texts[CONF] = conf
    for path, text in texts.items():
        files.write(path, text)
    _write_tools(place)


def wipe_system(files: Beneath) -> None:
    """Empty the folder; the supervisor's own log, which it holds open, becomes empty in place."""
    files.empty(keep=["log"])
    for name in files.names("log"):
        if Path("log", name) == SUPERVISOR_LOG:
            files.truncate(SUPERVISOR_LOG)
        else:
            files.remove(Path("log", name))


def write_text(path: Path, text: str) -> None:
    """Write a file of the lab's own, all or nothing, with the folders above it; NotWritable if that cannot be done."""
    make_folder(path.parent)
    Beneath(path.parent).write(path.name, text)


def log_tail(files: Beneath, process: str, lines: int = 15) -> str:
    """The last lines a process logged; empty if there are none."""
    return "\n".join(files.tail(f"log/{process}.log").splitlines()[-lines:])


def _search_path() -> list[str]:
    """The user's PATH without the virtual environment that the lab itself runs in."""
    own = str(Path(sys.executable).parent) if sys.prefix != sys.base_prefix else None
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return [folder for folder in folders if folder and folder != own]


def _write_tools(place: Place) -> None:
    scripts: Mapping[str, list[str]] = {
        "python": [sys.executable],
        "python3": [sys.executable],
        "supervisorctl": [sys.executable, "-P", "-m", "supervisor.supervisorctl", "-c", str(place.root / CONF)],
    }
    for name, command in scripts.items():
        # A script and not a link: a Python that is reached by a link does not find its virtual environment.
        place.files.write(f"bin/{name}", f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', 0o755)
    for name in _TOOLS:
        try:
            program = find_program(name)
        except MissingProgram:  # a subject that needs it has asked for it and said so
            continue
        place.files.link(f"bin/{name}", program)
