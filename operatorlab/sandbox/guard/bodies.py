"""What may be in the bodies: each takes parsed JSON and gives back what goes on to the daemon.

Only what is named here goes on. What is not named may be there only if it is a default (CLI's send every
field there is), and is left out. So a field that some newer daemon knows cannot slip through.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from operatorlab.sandbox.guard.host import check_host, check_resources, check_restart
from operatorlab.sandbox.guard.lab import SERVICE, Lab
from operatorlab.sandbox.guard.refusal import Refused, malformed
from operatorlab.sandbox.guard.strict import is_empty
from operatorlab.sandbox.guard.templates import Template, Templates

Check = Callable[[Any], Any]


def pick(body: object, checks: Mapping[str, Check], where: str) -> dict[str, Any]:
    """What of the object `body` goes on, each field through its check."""
    if not isinstance(body, dict):
        raise malformed(f"{where} is not an object")
    known = {name.casefold(): name for name in checks}
    for name, value in body.items():
        if name in checks:
            continue
        if name.casefold() in known:
            raise malformed(f"{where}.{name[:50]} is not how {known[name.casefold()]} is written")
        if not is_empty(value):
            raise Refused(f"{where}.{name[:50]} may not be set")
    return {name: checks[name](value) for name, value in body.items() if name in checks}


def boolean(value: object) -> bool:
    """True or false, null being false."""
    if value is not None and not isinstance(value, bool):
        raise malformed("a yes or no is something else")
    return bool(value)


def text(value: object) -> str:
    """A text, null being the empty one."""
    if value is not None and not isinstance(value, str):
        raise malformed("a text is something else")
    return value or ""


def whole(value: object) -> int | None:
    """A whole number or null."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise malformed("a number is something else")
    return value


def texts(value: object) -> list[str] | None:
    """A list of texts or null."""
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise malformed("a list of texts is something else")
    return value


def words(value: object) -> list[str] | str | None:
    """A command: a list of texts, or one text."""
    return value if isinstance(value, str) else texts(value)


def labels(value: object) -> dict[str, str]:
    """A map of texts."""
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise malformed("labels are something else")
    return value


def _ports(value: object) -> dict[str, dict[str, str]]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(is_empty(each) for each in value.values()):
        raise malformed("ExposedPorts is something else")
    return {name: {} for name in value}


def _health(value: object) -> dict[str, Any] | None:
    checks = {"Test": texts, **dict.fromkeys(("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"), whole)}
    return None if value is None else pick(value, checks, "Healthcheck")


_CONFIG: Mapping[str, Check] = {
    **dict.fromkeys(("Hostname", "Domainname", "User", "Image", "WorkingDir", "StopSignal"), text),
    **dict.fromkeys(("AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"), boolean),
    **dict.fromkeys(("Cmd", "Entrypoint"), words),
    **dict.fromkeys(("Env", "Shell"), texts),
    "ExposedPorts": _ports,
    "Labels": labels,
    "StopTimeout": whole,
    "Healthcheck": _health,
}


def create(body: Mapping[str, Any], lab: Lab, templates: Templates, networks: Collection[str]) -> dict[str, Any]:
    """A container like the one its service came up with; `networks` are the names and ids of the lab's own."""
    template = _template(body, lab, templates)
    checks = {
        **_CONFIG,
        "HostConfig": lambda value: check_host(value, template.host, networks),
        "NetworkingConfig": lambda value: _networking(value, networks),
    }
    checked = pick(body, checks, "body")
    if checked.get("Image") not in (template.image, template.image_id):
        raise Refused(f"the image of this service is {template.image}")
    if "HostConfig" not in checked:
        raise Refused("a container here has the limits of its service, in HostConfig")
    return checked


def service_of(body: Mapping[str, Any]) -> str:
    """The service that the labels of a create body name."""
    return str(labels(body.get("Labels") or {}).get(SERVICE, ""))


def _template(body: Mapping[str, Any], lab: Lab, templates: Templates) -> Template:
    given = labels(body.get("Labels") or {})
    template = templates.services.get(given.get(SERVICE, ""))
    if template is None or not lab.owns(given):
        raise Refused("a container here carries the labels of this lab and of one of its services")
    ours = {name: value for name, value in given.items() if name.startswith("operatorlab.")}
    # The image brings labels of its own, which whoever creates need not name.
    if not ours.items() <= template.labels.items():
        raise Refused("the labels operatorlab.* of a container are those its service came up with")
    return template


def _networking(value: object, networks: Collection[str]) -> dict[str, Any] | None:
    def endpoints(value: object) -> dict[str, Any]:
        if not isinstance(value, dict | None):
            raise malformed("EndpointsConfig is something else")
        for name in value or {}:
            if name not in networks:
                raise Refused(f"{name[:60]} is no network of this lab")
        return {name: endpoint(each) for name, each in (value or {}).items()}

    return None if value is None else pick(value, {"EndpointsConfig": endpoints}, "NetworkingConfig")


def endpoint(value: object) -> dict[str, Any]:
    """How a container is on a network: by which aliases and address."""

    def address(value: object) -> dict[str, Any] | None:
        return None if value is None else pick(value, {"IPv4Address": text, "IPv6Address": text}, "IPAMConfig")

    return {} if value is None else pick(value, {"Aliases": texts, "IPAMConfig": address}, "EndpointConfig")


def update(body: Mapping[str, Any], template: Template) -> dict[str, Any]:
    """Limits up to those the service came up with, and when to restart."""
    resources = check_resources(body, template.host, creating=False)
    rest = {name: value for name, value in body.items() if name not in resources}
    return resources | pick(rest, {"RestartPolicy": check_restart}, "body")


def execute(body: Mapping[str, Any]) -> dict[str, Any]:
    """A command in a container, without more rights than the container has."""
    checks: dict[str, Check] = {
        **dict.fromkeys(("AttachStdin", "AttachStdout", "AttachStderr", "Tty", "Detach"), boolean),
        **dict.fromkeys(("DetachKeys", "User", "WorkingDir"), text),
        **dict.fromkeys(("Cmd", "Env"), texts),
        "ConsoleSize": _size,
    }
    # docker-py repeats the container in here; it is the path that counts, for the daemon as well.
    return pick({name: value for name, value in body.items() if name != "Container"}, checks, "body")


def start_exec(body: Mapping[str, Any]) -> dict[str, Any]:
    """How an exec is begun."""
    return pick(body, {"Detach": boolean, "Tty": boolean, "ConsoleSize": _size}, "body")


def _size(value: object) -> list[int] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2 or not all(type(each) is int for each in value):
        raise malformed("ConsoleSize is something else")
    return value


def connect(body: Mapping[str, Any], container: str) -> dict[str, Any]:
    """Put `container`, which the body's name was found to mean, on a network."""
    return pick(body, {"Container": lambda _: container, "EndpointConfig": endpoint}, "body")


def disconnect(body: Mapping[str, Any], container: str) -> dict[str, Any]:
    """Take `container` off a network."""
    return pick(body, {"Container": lambda _: container, "Force": boolean}, "body")
