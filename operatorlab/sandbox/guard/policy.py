"""Pure decisions: what a request asks for, and whether what it names is the operator's.

`understand` reads the target in exactly one way or refuses; `find` looks a name up among the lab's own
things, and only there, so that nothing about others can be learned, not even from an ambiguous prefix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes, urlencode

from operatorlab.sandbox.guard.http import Request
from operatorlab.sandbox.guard.refusal import Refused, malformed, not_there
from operatorlab.sandbox.guard.routes import ROUTES, Route
from operatorlab.sandbox.guard.templates import Templates

OLDEST = (1, 25)
"""The oldest version of the API that is spoken: before it, bodies meant other things."""
_TARGET = re.compile(r"(?:/v([1-9])\.([0-9]{1,2}))?(/[A-Za-z0-9_.:@/-]*)(?:\?([!-~]*))?")
_LONGEST_TARGET = 8192


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that has a route: `name` is the thing it is about, `version` the API's it asked for."""

    route: Route
    method: str
    name: str
    version: tuple[int, int]
    query: Mapping[str, str]

    def target(self, name: str = "", query: Mapping[str, object] | None = None) -> str:
        """The target for the daemon, about `name`."""
        path = self.route.path.replace("{}", name or self.name)
        asked = urlencode(self.query if query is None else query)
        return f"/v{self.version[0]}.{self.version[1]}{path}" + (f"?{asked}" if asked else "")


def understand(request: Request, newest: tuple[int, int]) -> Asked:
    """What is asked for, if there is a way for it."""
    found = _TARGET.fullmatch(request.target) if len(request.target) <= _LONGEST_TARGET else None
    if found is None:
        raise malformed("the path is not written plainly")
    major, minor, path, query = found.groups()
    if "//" in path or any(part in (".", "..") for part in path.split("/")):
        raise malformed("the path is not written plainly")
    version = (int(major), int(minor)) if major else newest
    if not OLDEST <= version <= newest:
        raise malformed(f"version {version[0]}.{version[1]} of the API is not spoken here, 1.25 to {newest[1]} are")
    route, name = _route(request.method, path)
    return Asked(route, request.method, name, version, _parameters(route, query or ""))


def _route(method: str, path: str) -> tuple[Route, str]:
    for route in ROUTES:
        if match := route.matches(method, path):
            return route, match[1] if match.re.groups else ""
    raise Refused(f"there is no way for {method} {path[:200]}")


def _parameters(route: Route, query: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        name, value = _decoded(name), _decoded(value)
        if name in given:
            raise malformed(f"the parameter {name[:50]} comes twice")
        if name not in route.query:
            raise Refused(f"the parameter {name[:50]} is not taken here")
        if not re.fullmatch(route.query[name], value, re.DOTALL):
            raise Refused(f"the parameter {name} may not be {value[:50]!r}")
        given[name] = value
    return given


def _decoded(text: str) -> str:
    if ";" in text or re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise malformed("the query is not written plainly")
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError as wrong:
        raise malformed("the query is not UTF-8") from wrong


def find_container(ref: str, own: Iterable[Mapping[str, Any]]) -> str:
    """The id of the lab's container meant by `ref`: an id, a name or the beginning of an id, in Docker's order."""
    names = {each["Id"]: {name.lstrip("/") for name in each["Names"] if name.count("/") == 1} for each in own}
    return _find("container", ref, names)


def find_network(ref: str, own: Iterable[Mapping[str, Any]]) -> str:
    """The id of the lab's network meant by `ref`."""
    return _find("network", ref, {each["Id"]: {each["Name"]} for each in own})


def _find(kind: str, ref: str, names: Mapping[str, set[str]]) -> str:
    if ref in names:
        return ref
    for matching in (
        [id_ for id_, named in names.items() if ref in named],
        [id_ for id_ in names if id_.startswith(ref)],
    ):
        if len(matching) == 1:
            return matching[0]
    raise not_there(kind, ref)


def check_name(name: str, project: str, services: Iterable[str]) -> None:
    """Refuse a name for a container that Compose would not give one of `services`."""
    for service in services:
        wanted = rf"/?(?:[0-9a-f]{{12}}_)?{re.escape(project)}[-_]{re.escape(service)}[-_][A-Za-z0-9_.-]{{1,60}}"
        if re.fullmatch(wanted, name):
            return
    raise Refused(f"a container here is named {project}_SERVICE_NUMBER after one of its services")


def check_image(name: str, templates: Templates) -> None:
    """Unseen are all images but those the lab came up with."""
    if name not in templates.images():
        raise not_there("image", name)
