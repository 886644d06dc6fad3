"""What this machine offers to a lab, what is missing for more, and which boundary holds an operator in.

Every finding comes from trying: a daemon is asked, a namespace made, a folder written to.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from operatorlab import home
from operatorlab.deploy import boundary, ports
from operatorlab.deploy.compose import bringing
from operatorlab.deploy.compose.command import compose_command
from operatorlab.deploy.compose.engine import Engine, find_daemon
from operatorlab.deploy.compose.stack import read_stack
from operatorlab.deploy.programs import find_program
from operatorlab.errors import ContractBroken, EnvironmentTrouble
from operatorlab.registry import find_subject, subjects
from operatorlab.subject import COMPOSE, PROCESSES, Subject

_KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")


class State(StrEnum):
    """How a finding stands."""

    OK = "ok"
    MISSING = "missing"  # and something cannot be done without it
    OPTIONAL = "optional"  # missing, and only needed for more


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a lab may need: whether it is there, what exactly, and what to do for more."""

    name: str
    state: State
    what: str
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that was found. `boundaries` tells, by deployment, what holds an operator in."""

    findings: tuple[Finding, ...]
    boundaries: dict[str, str]

    @property
    def well(self) -> bool:
        """Whether a lab can run here at all."""
        return all(one.state is not State.MISSING for one in self.findings)


def examine() -> Diagnosis:
    """Try everything; takes about a second."""
    compose = tuple(_compose())
    findings = (_python(), _home(), _redis(), _free_ports(), _namespaces(), *compose, _key())
    containers = all(one.state is State.OK for one in compose)
    return Diagnosis(findings, {PROCESSES: _of_processes(), COMPOSE: _of_containers(there=containers)})


def _of_processes() -> str:
    if boundary.detect().kind is boundary.Kind.NONE:
        return "none: an operator's commands run as you; a real model is refused without --allow-bare-host"
    return "namespaces of the lab's own: an operator sees its lab and a read-only system, and no network but the lab's"


def _of_containers(*, there: bool) -> str:
    if not there:
        return "not to be had here, see above"
    return "a container of the operator's own, the lab's network alone, and a guard before the Docker API"


def _python() -> Finding:
    return Finding("Python", State.OK, f"{platform.python_version()} at {sys.executable}, {platform.system()}")


def _tried(name: str, tell: Callable[[], str], *, without: State = State.MISSING) -> Finding:
    try:
        return Finding(name, State.OK, tell())
    except EnvironmentTrouble as trouble:
        what = f"{trouble.what} ({trouble.cause})" if trouble.cause else trouble.what
        return Finding(name, without, what, trouble.next_step)


def _home() -> Finding:
    def tell() -> str:
        folder = home.make_folder(home.home())
        with tempfile.TemporaryFile(dir=folder):
            return f"{folder} can be written; the audit is {home.audit_path().name} in it"

    try:
        return _tried("home", tell)
    except OSError as trouble:
        return Finding("home", State.MISSING, str(trouble), "export OPERATORLAB_HOME=/a/folder/you/own")


def _redis() -> Finding:
    return _tried("Redis", lambda: f"{find_program('redis-server')}")


def _free_ports() -> Finding:
    def tell() -> str:
        held = ports.reserve(("one", "other"), {})
        held.release()
        return f"{ports.LOOPBACK} has free ports"

    return _tried("ports", tell)


def _namespaces() -> Finding:
    allowed = boundary.detect()
    state = State.OPTIONAL if allowed.kind is boundary.Kind.NONE else State.OK
    return Finding("namespaces", state, allowed.why if state is State.OPTIONAL else str(allowed), allowed.next_step)


def _compose() -> Iterator[Finding]:
    def daemon() -> str:
        engine = Engine(find_daemon())
        version = engine.now(lambda client: client.version())
        return f"version {version['Version']}, API {version['ApiVersion']}, at {engine.host}"

    def images() -> str:
        engine, known = Engine(find_daemon()), [one for one in map(find_subject, subjects()) if _has_stack(one)]
        for subject in known:
            stack = read_stack(subject)
            engine.now(partial(bringing.require_images, stack=stack))
        return f"those of {', '.join(subject.name for subject in known)} are here"

    yield _tried("Docker", daemon, without=State.OPTIONAL)
    yield _tried("Compose", lambda: " ".join(compose_command()), without=State.OPTIONAL)
    yield _tried("images", images, without=State.OPTIONAL)


def _has_stack(subject: Subject) -> bool:
    try:
        read_stack(subject)
    except ContractBroken:
        return False
    return True


def _key() -> Finding:
    there = [name for name in _KEYS if os.environ.get(name)]
    if there:
        return Finding("model key", State.OK, f"{there[0]} is set; it never reaches an operator's shell")
    what = "none is set: the brain `claude` needs one, or --base-url of a server of your own; `runbook` needs none"
    return Finding("model key", State.OPTIONAL, what, f"export {_KEYS[0]}=…")
